from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest

from corarec.cf.counting.rows import Asked
from corarec.cf.statistics.content import content_of, mean_of_liked, profile
from corarec.errors import ConfigError
from corarec.types import Histories


def table(**columns: Sequence[object]) -> pl.DataFrame:
    return pl.DataFrame({"item_id": [1, 2, 3], **columns})


TITLES = ["A (1990)", "B (2000)", "C"]


def test_genres_are_divided_by_the_root_of_their_number_and_years_have_mean_zero() -> None:
    content = content_of(table(title=TITLES, genres=["War", "Drama|War", None]), None, 3)
    assert content.shape == (4, 2 + 7 + 1)
    np.testing.assert_allclose(content[:, :2], [[0, 0], [0, 1], [0.5**0.5, 0.5**0.5], [0, 0]])
    assert content[:, 2:9].sum(1).tolist() == [0, 1, 1, 0]
    assert content[:, 9].tolist() == [0, -1, 1, 0]


@pytest.mark.parametrize(
    "values",
    [
        ["War", "Drama, War", ""],
        [["War"], ["Drama", "War"], None],
        ["['War']", "['Drama', 'War']", None],
        ["War|War", "War|Drama", "|"],
    ],
)
def test_other_ways_to_write_genres(values: Sequence[object]) -> None:
    content = content_of(table(title=TITLES, category=values), None, 3)
    np.testing.assert_allclose(content[:, :2], [[0, 0], [0, 1], [0.5**0.5, 0.5**0.5], [0, 0]])


def test_only_the_most_frequent_genres_are_kept() -> None:
    many = [f"g{n}" for n in range(50)]
    content = content_of(table(title=TITLES, genres=[many, ["g49"], ["g48"]]), None, 3)
    assert content.shape[1] == 32 + 7 + 1


def test_a_column_of_years_goes_before_titles() -> None:
    content = content_of(table(title=TITLES, year=["1950", "1960", "no"]), None, 3)
    assert content[:, -1].tolist() == [0, -1, 1, 0]


def test_without_a_table_there_is_no_content() -> None:
    assert not content_of(None, None, 3).any()
    assert not content_of(table(title=["x", "y", "z"]), None, 3).any()


def test_a_column_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="names the column 'tags'; there is item_id, title"):
        content_of(table(title=TITLES), "tags", 3)


def test_the_profile_by_hand() -> None:
    content = np.array([[0.0], [1.0], [3.0]])
    histories = Histories.from_lists([[1, 2, 2], []])
    asked = Asked(np.array([1, 1]), np.array([2, 2]), np.array([9, 9]), histories)
    assert mean_of_liked(content, asked)[:, 0].tolist() == pytest.approx([7 / 3, 0])
    # The mean over three rows of item 1 and one of item 2 is 1.5.
    found = profile(content, np.array([0.0, 3.0, 1.0]), asked)
    assert found.tolist() == pytest.approx([1.5 * (7 / 3 - 1.5) * 3 / 8, 0])

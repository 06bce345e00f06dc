import numpy as np
import pytest
import torch

from corarec.cf.vectors import VectorTable
from corarec.errors import ConfigError
from corarec.types import Config, Histories, Pairs


def test_histories_share_one_array_and_cut_it_by_offsets() -> None:
    histories = Histories.from_lists([[], [5], [5, 6], []])
    assert [histories[n].tolist() for n in range(4)] == [[], [5], [5, 6], []]
    assert histories.lengths().tolist() == [0, 1, 2, 0]
    assert histories.take(np.array([2])).liked_items is histories.liked_items


def test_the_last_items_are_padded_on_the_left_and_never_taken_from_another_history() -> None:
    histories = Histories.from_lists([[1, 2, 3], [4], []])
    assert histories.last(2).tolist() == [[2, 3], [0, 4], [0, 0]]
    assert histories.last(0).shape == (3, 0)


def test_no_histories_at_all() -> None:
    histories = Histories.from_lists([])
    assert len(histories) == 0
    assert histories.last(3).shape == (0, 3)


def test_taking_pairs_takes_every_column() -> None:
    pairs = Pairs(
        np.array([1, 2]),
        np.array([3, 4]),
        Histories.from_lists([[], [7]]),
        rows=np.array([8, 9]),
    )
    second = pairs.take(np.array([1]))
    assert (len(second), second.item_ids[0], second.histories[0].tolist()) == (1, 4, [7])
    assert second.rows is not None
    assert second.rows.tolist() == [9]


def test_a_vector_table_looks_up_rows_not_ids() -> None:
    table = VectorTable(
        users=torch.tensor([[0.0, 0.0], [1.0, 2.0]]),
        items=torch.tensor([[0.0, 0.0], [3.0, 4.0], [5.0, 6.0]]),
        user_rows=np.array([1, 0, 1]),
        item_rows=np.array([2, 2, 1]),
    )
    users, items = table.lookup(np.array([2, 1]))
    assert users.tolist() == [[1.0, 2.0], [0.0, 0.0]]
    assert items.tolist() == [[3.0, 4.0], [5.0, 6.0]]
    assert table.vector_size == 2


def test_configs_refuse_unknown_keys() -> None:
    class Size(Config):
        width: int = 3

    with pytest.raises(ValueError, match="widht"):
        Size.model_validate({"widht": 4})


class Inner(Config):
    batch_size: int = 1


class Outer(Config):
    inner: Inner = Inner()
    steps: int = 1


def test_unknown_keys_are_named_with_the_nearest_and_all_known_ones() -> None:
    with pytest.raises(ConfigError) as caught:
        Outer.parse({"inner": {"batchsize": 2}, "stepps": 1, "steps": "x"}, "r.yaml")
    lines = str(caught.value).splitlines()
    assert lines[0] == "r.yaml has 3 mistakes:"
    assert (
        "  inner.batchsize: Extra inputs are not permitted. "
        + ("Did you mean 'batch_size'? Known: batch_size")
        in lines
    )
    assert (
        "  stepps: Extra inputs are not permitted. " + ("Did you mean 'steps'? Known: inner, steps")
        in lines
    )
    assert any(line.startswith("  steps: Input should be a valid integer") for line in lines)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999"])
def test_numbers_are_finite(value: str) -> None:
    class Weight(Config):
        share: float = 1.0

    with pytest.raises(ConfigError, match="share: Input should be a finite number"):
        Weight.parse({"share": value}, "the recipe")


def test_stars_stay_beside_the_items_they_are_of() -> None:
    items, stars = np.array([1, 2, 3]), np.array([5.0, np.nan, 4.0])
    histories = Histories(items, np.array([0, 2]), np.array([2, 3]), stars)
    np.testing.assert_array_equal(histories.last_stars(2), [[5.0, np.nan], [np.nan, 4.0]])
    second = histories.take(np.array([1]))
    assert second.stars_of(0).tolist() == [4.0]  # type: ignore[union-attr]
    repeated = Histories.repeated(items, 2, stars)
    np.testing.assert_array_equal(repeated.last_stars(1), [[4.0], [4.0]])
    unknown = Histories.from_lists([[1, 2]])
    assert unknown.stars_of(0) is None
    assert np.isnan(unknown.last_stars(2)).all()

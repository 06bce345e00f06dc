"""What items can be filtered by."""

import polars as pl
import pytest

from corarec.errors import DataError
from corarec.runs.live import columns
from corarec.runs.live.columns import Columns

TITLES = ["", "Alien (1979)", "Heat", "Fargo (1996)"]
TABLE = pl.DataFrame(
    {"item_id": [1, 2, 3], "genres": ["War | Drama", None, "War"], "year": [None, "1995", "2001"]}
)


def test_values_and_years_are_of_the_dataset_and_of_what_is_added() -> None:
    of = Columns(TITLES, TABLE)
    assert of.names() == ["genres", "year"]
    of.told[4] = {"genres": ["Heist", "War"], "mood": "dark"}
    of.told[5] = {"year": 2030}
    assert of.names() == ["genres", "year", "mood"]
    none: frozenset[str] = frozenset()
    war = frozenset({"War"})
    given = [none, frozenset({"War", "Drama"}), none, war]
    assert of.values("genres", 5) == [*given, frozenset({"Heist", "War"}), none]
    assert of.values("mood", 4) == [none] * 4 + [frozenset({"dark"})]
    # A column says more than a title; of what was removed nothing is left.
    assert of.years(["Ran (1985)", "Old (1950)", ""]).tolist() == [
        0,
        1979,
        1995,
        2001,
        1985,
        2030,
        0,
    ]
    assert Columns(TITLES, None).years([]).tolist() == [0, 1979, 0, 1996]
    with pytest.raises(DataError, match="Items have no 'tempo' to filter by; they have genres"):
        of.values("tempo", 5)


def test_what_the_dataset_says_is_read_once_whatever_is_added(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    of = Columns(TITLES, TABLE)
    before = of.values("genres", 3), of.years([])
    monkeypatch.setattr(columns, "texts", lambda value, **_: frozenset({f"{value}"}))
    of.told[4] = {"genres": "Heist"}
    assert of.values("genres", 4) == [*before[0], frozenset({"Heist"})]
    monkeypatch.setattr(columns, "_YEAR", None)
    assert of.years([]) is not before[1]
    assert of.years([]).tolist() == before[1].tolist()

import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from corarec.data.findings import check_times, rating_range, remarks
from corarec.errors import DataError


def rows(*given: tuple[str, str, int, int, float | None, str]) -> pl.DataFrame:
    names = ["user", "item", "timestamp", "label", "rating", "split"]
    types: list[Any] = [pl.String, pl.String, pl.Int64, pl.Int8, pl.Float32, pl.String]
    schema = dict(zip(names, types, strict=True))
    return pl.DataFrame(list(given), schema=schema, orient="row")


CALM = [("a", "x", 10, 1, 5.0, "train"), ("a", "y", 20, 0, 1.0, "train")]


def test_nothing_to_say() -> None:
    assert remarks(rows(*CALM, ("a", "x", 30, 1, 5.0, "test")), positives_only=False)[1:] == ()


@pytest.mark.parametrize(
    ("row", "remark"),
    [
        (("a", "z", 0, 1, 5.0, "train"), "1 interactions have the time 0"),
        (("a", "z", -5, 1, 5.0, "train"), "1 interactions are from before 1970"),
        (("a", "z", 4_000_000_000, 1, 5.0, "train"), "in the future (the last one at 2096-10-02"),
        (("a", "x", 11, 1, 5.0, "train"), "1 of 3 interactions repeat a user and an item; all"),
        (("a", "x", 10, 1, 5.0, "train"), "1 of them at the same second"),
        (("b", "z", 11, 1, 5.0, "test"), "test: 1 of 1 users and 1 of 1 items are not in train"),
    ],
)
def test_remarks(row: Any, remark: str) -> None:
    found = remarks(rows(*CALM, row), positives_only=False)
    assert sum(remark in note for note in found) == 1


def test_equal_times_and_lopsided_labels() -> None:
    table = rows(*[("a", f"i{n}", 7, 1, 9.0, "train") for n in range(20)])
    found = remarks(table, positives_only=False)
    assert found[0].startswith("ASSUMED: all times are the same")
    assert "100.0% of the rows are positive; ratings run from 9 to 9: check the thr" in found[1]


def test_drawn_negatives_are_no_repetitions() -> None:
    table = rows(*[("a", f"i{n % 3}", n, n % 2, None, "train") for n in range(1, 5)])
    found = remarks(table, positives_only=True)
    assert found[0].startswith("ASSUMED: there are no ratings or labels")
    assert not any("repeat" in note for note in found)
    assert rating_range(table) == "there are no ratings"


@pytest.mark.parametrize("second", [-62_135_596_801, 253_402_300_800, 2**62, -(2**63)])
def test_times_that_no_calendar_has(second: int) -> None:
    table = pl.DataFrame({"row": [4, 9], "timestamp": [int(time.time()), second]})
    with pytest.raises(DataError, match=r"t\.csv, row 9: the time .*time_unit"):
        check_times(table, Path("t.csv"))
    check_times(table[:1], Path("t.csv"))


def test_ids_that_differ_in_their_unicode_form_only() -> None:
    names = ["Zoe\u0308", "Zo\u00eb", "Zoe"]
    table = rows(*[(name, f"i{n}", n, n % 2, 5.0, "train") for n, name in enumerate(names)])
    found = remarks(table, positives_only=False)
    assert any(note.startswith("2 users have an id that is another one's but") for note in found)
    assert not any("Unicode" in note for note in remarks(table[1:], positives_only=False))


def test_repetitions_are_counted_among_pairs_and_their_seconds() -> None:
    seconds = {("a", "x"): [5, 5, 5, 6], ("a", "y"): [5], ("b", "x"): [9, 9], ("b", "y"): [1, 2]}
    table = rows(
        *[
            (*pair, second, n % 2, 5.0, "train")
            for pair, times in seconds.items()
            for n, second in enumerate(times)
        ]
    )
    (note,) = [
        note
        for note in remarks(table.sample(fraction=1, shuffle=True, seed=1), positives_only=False)
        if "repeat" in note
    ]
    assert note.startswith("5 of 9 interactions repeat a user and an item, 3 of them at the same")

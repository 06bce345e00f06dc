from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.io.plugins import register_io_source

from corarec.data.columns import parse_numbers, require_columns
from corarec.errors import DataError


def test_numbers_are_parsed_and_blanks_are_missing() -> None:
    table = pl.LazyFrame({"row": [1, 2, 3], "n": [" 4.0", "", None], "f": ["0.5", "1e3", "-2"]})
    types: dict[str, pl.DataType] = {"n": pl.Int64(), "f": pl.Float32()}
    parsed = parse_numbers(table, types, Path("f")).collect()
    assert parsed["n"].to_list() == [4, None, None]
    assert parsed["f"].to_list() == [0.5, 1000.0, -2.0]


@pytest.mark.parametrize("value", ["five", "nan", "inf", "1,5"])
def test_what_is_no_number_names_its_row(value: str) -> None:
    table = pl.LazyFrame({"row": [1, 2], "rating": ["1", value]})
    with pytest.raises(DataError, match=rf"f\.csv, row 2: rating is '{value}', .* not a number"):
        parse_numbers(table, {"rating": pl.Float32()}, Path("f.csv"))


def test_large_whole_numbers_stay_exact() -> None:
    table = pl.LazyFrame({"row": [1], "t": [1_700_000_000_123_456_789]})
    parsed = parse_numbers(table, {"t": pl.Int64()}, Path("f")).collect()
    assert parsed["t"].item() == 1_700_000_000_123_456_789


def test_missing_columns_are_named_with_what_there_is() -> None:
    with pytest.raises(DataError, match="f lacks the columns b, c; it has a, d. Say so."):
        require_columns(["a", "d"], ["a", "b", "c"], Path("f"), "Say so.")


def test_numbers_of_all_columns_are_looked_at_in_one_pass() -> None:
    schema = pl.Schema({"row": pl.Int64, "rating": pl.String, "time": pl.String})
    passes = []

    def pieces(columns: Any, predicate: Any, n_rows: Any, size: Any) -> Iterator[pl.DataFrame]:
        passes.append(columns)
        piece = pl.DataFrame(
            {"row": [1, 2, 3], "rating": ["1", "2", "x"], "time": ["5", "6 h", "7"]}, schema
        )
        piece = piece if predicate is None else piece.filter(predicate)
        yield piece if columns is None else piece.select(columns)

    table = register_io_source(pieces, schema=schema)
    types: dict[str, pl.DataType] = {"rating": pl.Float32(), "time": pl.Int64()}
    # The first bad row, whatever column it is in.
    with pytest.raises(DataError, match=r"f\.csv, row 2: time is '6 h', which is not a number\."):
        parse_numbers(table, types, Path("f.csv"))
    assert len(passes) == 1
    assert parse_numbers(table, {}, Path("f.csv")).collect().height == 3

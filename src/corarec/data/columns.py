"""What the columns of a table must be: there, one for each thing, numbers where wanted."""

import math
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from corarec.data.reading import collect
from corarec.errors import ConfigError, DataError
from corarec.text import printable

LIMITS: dict[pl.DataType, tuple[float, float]] = {
    pl.Int8(): (-128, 127),
    # The next number below 2**63 that 64 bits of floating point have.
    pl.Int64(): (-(2.0**63), 2.0**63 - 1024),
    pl.Float32(): (-3.4e38, 3.4e38),
    pl.Float64(): (-math.inf, math.inf),
}


def require_columns(found: list[str], wanted: list[str], file: Path, how: str = "") -> None:
    """Refuse a table that lacks a column.

    Raises
    ------
    DataError
        Names what is missing, what there is, and `how` to say where a column is.
    """
    there = [name for name in found if name != "row"]
    if missing := [name for name in wanted if name not in there]:
        raise DataError(
            f"{file} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; it has "
            f"{printable(', '.join(there), 400) or 'none'}.{' ' * bool(how)}{how}"
        )


def require_roles(roles: Mapping[str, str]) -> None:
    """Refuse one column for two things.

    Parameters
    ----------
    roles
        the column by the option that names it

    Raises
    ------
    ConfigError
        Names the column and both options.
    """
    options: dict[str, str] = {}
    for option, column in roles.items():
        if column in options:
            raise ConfigError(
                f"The column {printable(column, 60)!r} is taken for two things ({options[column]} "
                f"and {option}). Name two columns."
            )
        options[column] = option


def parse_numbers(
    table: pl.LazyFrame, types: Mapping[str, pl.DataType], file: Path
) -> pl.LazyFrame:
    """Turn text columns into numbers; an empty text is a missing value.

    Parameters
    ----------
    table
        has a column `row`, for the message; numbers may be there as text
    types
        the wanted type by column
    file
        for the message

    Raises
    ------
    DataError
        A text is no finite number; names the first row.
    """
    schema = table.collect_schema()
    parsed, wrong = {}, {}
    for name, kind in types.items():
        column = pl.col(name)
        if schema[name] == pl.String:
            column = column.str.strip_chars()
            column = pl.when(column != "").then(column)
        number = column.cast(pl.Float64, strict=False)
        smallest, largest = LIMITS[kind]
        is_good = number.is_finite() & number.is_between(smallest, largest)
        if kind == pl.Int8:
            is_good &= number == number.round()
        wrong[name] = column.is_not_null() & ~is_good.fill_null(value=False)
        whole = column if schema[name].is_integer() else number.round()
        parsed[name] = (whole if kind.is_integer() else number).cast(kind)
    if not types:
        return table
    # One pass for all columns.
    found = table.filter(pl.any_horizontal(wrong.values())).select("row", *types).head(1)
    first = collect(found, file)
    if not first.is_empty():
        name = next(name for name, is_wrong in wrong.items() if first.select(is_wrong).item())
        row, value = first["row"][0], first[name][0]
        raise DataError(
            f"{printable(file)}, row {row}: {name} is '{printable(value, 60)}', which is not a "
            f"number{' that fits' * _is_number(value)}. Mend the row (1.5, not 1,5), or check "
            "that the columns are in the expected order."
        )
    return table.with_columns(**parsed)


def _is_number(value: object) -> bool:
    try:
        return math.isfinite(float(str(value)))
    except ValueError:
        return False

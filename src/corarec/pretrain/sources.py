"""Read the sources of a recipe: tables and text files as rows, with derived and joined columns."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from corarec.errors import ConfigError, DataError
from corarec.extras import needs
from corarec.pretrain.documents import Row, environment
from corarec.pretrain.recipe import JoinConfig, PretrainingRecipe, SourceConfig

with needs("pretrain"):
    import jinja2


def read_source(recipe: PretrainingRecipe, name: str) -> list[Row]:
    """Read the rows of a source with its derived and joined columns.

    Raises
    ------
    DataError
        The file is missing or not readable.
    ConfigError
        A column or a template in the recipe does not fit the file.
    """
    source = recipe.sources[name]
    path = Path(recipe.data_directory) / source.path
    rows = [_tidy(row, source, recipe.without_columns) for row in _read(path)]
    _derive(rows, name, source)
    for join in source.join:
        _join(rows, name, join, recipe)
    return rows


def _read(path: Path) -> list[Row]:
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path, glob=False).to_dicts()
        texts = re.split(r"\n\s*\n", path.read_text("utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"{path} does not exist; set data_directory in the recipe to the folder that holds it"
        ) from None
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error}); wanted Parquet or UTF-8 text") from error
    return [{"text": text.strip()} for text in texts if text.strip()]


def _tidy(row: Row, source: SourceConfig, without: Sequence[str]) -> Row:
    tidy: Row = {}
    for column, value in row.items():
        if column in without:
            continue
        if value in source.null_values:
            value = None
        if column in source.lists:
            value = value.split(source.lists[column]) if value else []
        tidy[column] = value
    return tidy


def _derive(rows: list[Row], name: str, source: SourceConfig) -> None:
    jinja = environment()
    for column, text in source.columns.items():
        template = jinja.from_string(text)
        try:
            for row in rows:
                row[column] = template.render(row)
        except (jinja2.UndefinedError, TypeError) as error:
            raise ConfigError(f"source {name}, column {column}: {error}") from error


def _join(rows: list[Row], name: str, join: JoinConfig, recipe: PretrainingRecipe) -> None:
    columns = [column for column in join.columns if column not in recipe.without_columns]
    others = read_source(recipe, join.source)
    _check_columns(rows, name, join.by)
    _check_columns(others, join.source, [*join.by, *columns])
    matches: dict[tuple[Any, ...], Row] = {}
    for other in others:
        matches.setdefault(tuple(other[column] for column in join.by), other)
    for row in rows:
        match = matches.get(tuple(row[column] for column in join.by), {})
        row |= {column: match.get(column) for column in columns}


def _check_columns(rows: list[Row], name: str, columns: Sequence[str]) -> None:
    there = rows[0].keys() if rows else columns
    for column in columns:
        if column not in there:
            raise ConfigError(
                f"source {name} has no column {column!r} to join by or to take over; "
                f"it has {', '.join(there)}"
            )

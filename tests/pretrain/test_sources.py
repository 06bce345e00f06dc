from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corarec.errors import ConfigError, DataError
from corarec.pretrain.recipe import PretrainingRecipe, load_recipe
from corarec.pretrain.sources import read_source

Write = Callable[..., Path]


def load(write_recipe: Write, values: dict[str, Any]) -> PretrainingRecipe:
    return load_recipe(write_recipe(values))


def test_reading_nulls_lists_and_columns(
    write_recipe: Write, recipe_values: dict[str, Any]
) -> None:
    rows = read_source(load(write_recipe, recipe_values), "films")
    assert rows[0]["genres"] == ["Drama", "Romance"]
    assert rows[0]["name"] == "Green Door, The (1950)"
    assert rows[2]["genres"] == []
    without = recipe_values | {"without_columns": ["votes"]}
    assert "votes" not in read_source(load(write_recipe, without), "films")[0]


def test_reading_a_text_file(write_recipe: Write, recipe_values: dict[str, Any]) -> None:
    rows = read_source(load(write_recipe, recipe_values), "notes")
    assert len(rows) == 200
    assert rows[3] == {"text": "Note 3. The sea was calm and the road was long."}


def test_joining(write_recipe: Write, recipe_values: dict[str, Any], films: Path) -> None:
    join = {"source": "films", "by": ["title", "year"], "columns": ["votes"]}
    recipe_values["sources"]["other"] = {
        "path": "films.parquet",
        "columns": {"year": "{{ year if year != '1951' else '1800' }}"},
        "join": [join],
        "templates": [{"text": "x"}],
    }
    rows = read_source(load(write_recipe, recipe_values), "other")
    assert [row["votes"] for row in rows[:3]] == [7.5, None, 5.0]
    without = recipe_values | {"without_columns": ["votes"]}
    assert "votes" not in read_source(load(write_recipe, without), "other")[0]


def test_a_join_on_a_column_that_is_not_there(
    write_recipe: Write, recipe_values: dict[str, Any]
) -> None:
    join = {"source": "notes", "by": ["title"], "columns": ["text"]}
    recipe_values["sources"]["films"]["join"] = [join]
    with pytest.raises(ConfigError, match=r"source notes has no column 'title'.*text"):
        read_source(load(write_recipe, recipe_values), "films")


def test_files_that_cannot_be_read(
    write_recipe: Write, recipe_values: dict[str, Any], films: Path
) -> None:
    recipe = load(write_recipe, recipe_values)
    (films / "films.parquet").write_bytes(b"PAR1 cut off")
    with pytest.raises(DataError, match=r"films\.parquet cannot be read"):
        read_source(recipe, "films")
    (films / "notes.txt").unlink()
    with pytest.raises(DataError, match=r"notes\.txt does not exist; set data_directory"):
        read_source(recipe, "notes")

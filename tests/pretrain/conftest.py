"""A made-up world of films, small enough to pretrain on in seconds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

FILMS = {
    "title": ["The Green Door", "A Quiet Sea", "Robot Parade", "Midnight Ledger"] * 10,
    "year": [str(1950 + n) for n in range(40)],
    "genres": ["Drama, Romance", "Comedy", "N/A", "Crime, Drama"] * 10,
    "votes": [7.5, 6.0, 5.0, 8.0] * 10,
}


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Return a folder with `films.parquet` and `notes.txt`."""
    folder = tmp_path / "texts"
    folder.mkdir()
    pl.DataFrame(FILMS).write_parquet(folder / "films.parquet")
    notes = [f"Note {n}. The sea was calm and the road was long." for n in range(200)]
    (folder / "notes.txt").write_text("\n\n".join(notes) + "\n", "utf-8")
    return folder


@pytest.fixture
def recipe_values() -> dict[str, Any]:
    """Return the keys of a tiny recipe over `films`."""
    return {
        "data_directory": "texts",
        "sources": {
            "films": {
                "path": "films.parquet",
                "null_values": ["N/A"],
                "lists": {"genres": ", "},
                "columns": {"name": "{{ title | article_last }} ({{ year }})"},
                "hold_out": "documents",
                "hold_out_share": 0.1,
                "templates": [
                    {"text": "{{ name }}: {{ genres | shuffle | join(', ') }}"},
                    {"text": "{{ name }} has {{ votes }} of {{ random_row().votes }}. Yes"},
                ],
            },
            "notes": {
                "path": "notes.txt",
                "hold_out_share": 0.1,
                "templates": [{"text": "{{ text }} No"}],
            },
        },
        "tokenizer": {"pieces": 600, "characters": 20_000, "mix": {"films": 1, "notes": 1}},
        "model": {
            "hidden": 16,
            "layers": 1,
            "heads": 2,
            "key_value_heads": 2,
            "feed_forward": 32,
            "positions": 64,
        },
        "optimizer": {"batch_tokens": 128, "learning_rate": 0.02},
        "phases": [
            {"name": "first", "tokens": 1280, "mix": {"films": 3, "notes": 1}, "block": 32},
            {"name": "last", "tokens": 640, "mix": {"films": 1}, "block": 64},
        ],
        "log_steps": 5,
        "save_steps": 5,
        "prompts": ["Robot"],
    }


@pytest.fixture
def write_recipe(films: Path) -> Callable[..., Path]:
    """Return a function that writes a recipe beside the films and returns its path."""

    def write(values: dict[str, Any], name: str = "recipe.yaml") -> Path:
        path = films.parent / name
        path.write_text(yaml.safe_dump(values), "utf-8")
        return path

    return write

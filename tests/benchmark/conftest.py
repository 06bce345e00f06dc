"""What the tests of suites need."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

MakeSuite = Callable[..., Path]


@pytest.fixture
def make_suite(recipe: dict[str, Any], tmp_path: Path) -> MakeSuite:
    """Write a suite whose rows are the tiny recipe of the tests; `systems` gives their overrides.

    Every one trains three steps, with a checkpoint after each.
    """
    few = {"steps": 3, "validate_every": 1}
    cora = recipe | {"train": recipe["train"] | few}
    system = {"name": "tallrec", "backbone": recipe["system"]["backbone"], "targets": ["q_proj"]}
    text = {key: value for key, value in cora.items() if key != "cf"} | {"system": system}
    for name, values in (("cora", cora), ("tallrec", text)):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(values))

    def make(systems: dict[str, dict[str, Any]], name: str = "suite.yaml", **values: Any) -> Path:
        path = tmp_path / name
        rows = {
            row: given if {"use", "beside"} & given.keys() else {"recipe": "cora.yaml"} | given
            for row, given in systems.items()
        }
        path.write_text(yaml.safe_dump({"systems": rows, **values}, sort_keys=False))
        return path

    return make

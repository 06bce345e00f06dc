"""A run whose files a test may spoil, beside its dataset."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from corarec.recipe import RunConfig
from corarec.train import train_run


@pytest.fixture(scope="session")
def home(
    recipe: dict[str, Any], small_world_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a folder with the dataset `world` and its trained run `run`; not to be changed."""
    folder = tmp_path_factory.mktemp("home")
    shutil.copytree(small_world_path, folder / "world")
    train_run(RunConfig.parse({**recipe, "data": str(folder / "world")}, "recipe"), folder / "run")
    return folder


@pytest.fixture
def moved(home: Path, tmp_path: Path) -> Path:
    """Return a copy of `home`, to be changed at will."""
    shutil.copytree(home, tmp_path / "moved")
    return tmp_path / "moved"

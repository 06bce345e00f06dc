from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from corarec.tune import Space, load_space

MakeSpace = Callable[..., Space]


@pytest.fixture
def make_space(tmp_path: Path, recipe: dict[str, Any]) -> MakeSpace:
    """Return a search space over the tiny recipe, with other keys of it where some are given."""

    def make(space: dict[str, Any] | str, overrides: tuple[str, ...] = (), **keys: Any) -> Space:
        said = space if isinstance(space, str) else yaml.safe_dump(space, sort_keys=False)
        (tmp_path / "space.yaml").write_text(said, "utf-8")
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({**recipe, **keys}), "utf-8")
        return load_space(tmp_path / "space.yaml", tmp_path / "recipe.yaml", overrides)

    return make

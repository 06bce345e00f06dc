from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from corarec.benchmark import study as module
from corarec.benchmark.study import load_study, run_study, study_results
from corarec.errors import ConfigError


@pytest.fixture
def path(recipe: dict[str, Any], tmp_path: Path) -> Path:
    """Write a study of two systems over one CF model."""
    recipes = tmp_path / "cora.yaml"
    recipes.write_text(yaml.safe_dump(recipe))
    path = tmp_path / "study.yaml"
    systems = {
        "CoRA": {"recipe": str(recipes), "set": ["train.steps=3"]},
        "Shuffled": {"recipe": str(recipes), "set": ["train.steps=3", "system.rank=1"]},
    }
    pairs = [["CoRA", "Shuffled"], ["CoRA", "CoRA | mf-b alone"], ["CoRA", "Item rate"]]
    content = {"seeds": [0, 1], "split": "valid", "systems": systems, "comparisons": pairs}
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_study_compares_the_means_over_seeds_and_makes_no_run_twice(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, folders = load_study(path), tmp_path / "runs"
    run_study(study, folders, Console(quiet=True))
    result = study_results(study, folders)
    assert [(system.name, system.seeds) for system in result.systems] == [
        ("CoRA", 2),
        ("Shuffled", 2),
        ("CoRA | mf-b alone", 2),
    ]
    assert [(one.first, one.second) for one in result.comparisons] == list(study.comparisons)
    assert len(list((folders / "cf").glob("mf-b-*"))) == 2  # one per seed, not per system

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(module, "train_run", never)
    run_study(study, folders, Console(quiet=True))
    assert study_results(study, folders) == result


def test_seeds_can_be_given_and_no_study_is_an_error(path: Path, tmp_path: Path) -> None:
    assert load_study(path, [7]).seeds == [7]
    with pytest.raises(ConfigError, match="There is no study at"):
        load_study(tmp_path / "none.yaml")

"""Every recipe that ships is trained for two steps, whatever it is called."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corarec.data import Dataset
from corarec.pretrain.recipe import load_recipe as load_pretraining
from corarec.recipe import RunConfig, load_recipe
from corarec.recipe_files import read_recipe
from corarec.recommenders import RECOMMENDERS
from corarec.runs import load_run
from corarec.train import train_run
from corarec.train.metrics import read_metrics
from corarec.tune import load_space

TinyRecipe = Callable[[dict[str, Any], Path], dict[str, Any]]

ROOT = Path(__file__).parents[1] / "recipes"
SPACES = {"cora": "ml-1m/cora-lightgcn.yaml", "lora": "ml-1m/prompt4nr.yaml"}
"""Search spaces, and a recipe that each is for."""
FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in ROOT.rglob("*.yaml")
    if path.parent != ROOT / "spaces"
)


def values(name: str) -> dict[str, Any]:
    return read_recipe(ROOT / name, "recipe").values


RUNS = [name for name in FILES if "data" in values(name)]
PRETRAINING = [name for name in FILES if "sources" in values(name)]
BASES = [name for name in FILES if name not in RUNS + PRETRAINING]


def others_of_a_system_are_slow(names: list[str]) -> list[Any]:
    """Mark all recipes of a system but the first."""
    systems = [values(name)["system"]["name"] for name in names]
    return [
        pytest.param(name, marks=[pytest.mark.slow] if system in systems[:place] else [])
        for place, (name, system) in enumerate(zip(names, systems, strict=True))
    ]


@pytest.mark.parametrize("name", others_of_a_system_are_slow(RUNS))
def test_a_recipe_trains_and_its_run_scores(
    name: str,
    small_world: Dataset,
    small_world_path: Path,
    tiny_recipe: TinyRecipe,
    tmp_path: Path,
) -> None:
    shipped = load_recipe(ROOT / name)
    recipe = tiny_recipe(values(name), small_world_path)
    config = RunConfig.parse(recipe, name)
    assert config.system.name == shipped.system.name
    train_run(config, tmp_path / "run")
    run = load_run(tmp_path / "run")
    system = RECOMMENDERS[config.system.name]
    chosen_by = {phase.name: system.chosen_by(phase.system)[0] for phase in config.phases}
    measured = [
        each
        for each in read_metrics(run.folder)
        if f"valid_{chosen_by[each.get('phase', '')]}" in each
    ]
    trains = system.config_class.parameter_groups != ()
    assert [each["step"] for each in measured] == [2] * len(config.phases) * trains
    best = run.recommend(liked=small_world.titles[1:2], k=2)
    assert best["rank"].to_list() == [1, 2]


@pytest.mark.parametrize("name", PRETRAINING)
def test_a_recipe_of_pretraining_is_valid(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORAREC_CORPORA", "/data")
    assert load_pretraining(ROOT / name).steps > 0


@pytest.mark.parametrize("name", BASES)
def test_what_is_no_recipe_is_the_base_of_one(name: str) -> None:
    extended = [ROOT / each for each in RUNS + PRETRAINING]
    origins = [origin for path in extended for origin in read_recipe(path, "r").origins.values()]
    assert (ROOT / name).resolve() in {Path(origin).resolve() for origin in origins}


def test_a_search_space_is_of_keys_that_its_recipes_have() -> None:
    assert set(SPACES) == {path.stem for path in (ROOT / "spaces").iterdir()}
    for name, recipe in SPACES.items():
        assert load_space(ROOT / "spaces" / f"{name}.yaml", ROOT / recipe).axes

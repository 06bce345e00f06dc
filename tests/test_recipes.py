"""Every recipe that ships is trained for two steps, whatever it is called."""

from pathlib import Path
from typing import Any

import pytest

from corarec.cf import CF_MODELS
from corarec.data import Dataset
from corarec.pretrain.recipe import load_recipe as load_pretraining
from corarec.recipe import RunConfig, load_recipe
from corarec.recipe_files import read_recipe
from corarec.recommenders import RECOMMENDERS
from corarec.runs import load_run
from corarec.train import train_run
from corarec.train.metrics import read_metrics

ROOT = Path(__file__).parents[1] / "recipes"
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.yaml"))


def values(name: str) -> dict[str, Any]:
    return read_recipe(ROOT / name, "recipe").values


RUNS = [name for name in FILES if "data" in values(name)]
PRETRAINING = [name for name in FILES if "sources" in values(name)]
BASES = [name for name in FILES if name not in RUNS + PRETRAINING]


def smaller(recipe: dict[str, Any], data: Path, backbone: Path) -> dict[str, Any]:
    """Return a recipe on tiny data, with a tiny language model, of two steps a phase.

    Another folder, model, device and amount of work: all else is as it ships. Compiling, too, is
    left out, which takes longer than all the rest.
    """
    system, train = recipe["system"], recipe.setdefault("train", {})
    system["backbone"] = system.get("backbone", {}) | {
        "model": str(backbone),
        "device_map": None,
        "compile": False,
    }
    phases = train.get("phases", [])
    for course in (train, *phases):
        course |= {"steps": 2, "validate_every": 2, "batch_size": 4}
    train["validation_rows"] = 20
    names = [phase["name"] for phase in phases]
    for phase in phases:
        if phase.get("init_from") not in [None, *names]:
            del phase["init_from"]  # another recipe's run
    if "cf" in recipe:
        few_epochs(recipe["cf"])
    return recipe | {"data": str(data)}


def few_epochs(cf: dict[str, Any]) -> None:
    """Fit a CF model, and those that it is made of, for one epoch."""
    options = cf.setdefault("options", {})
    if "max_epochs" in CF_MODELS[cf["model"]].config_class.model_fields:
        options["max_epochs"] = 1
    for part in options.get("components", ()):
        few_epochs(part)


@pytest.mark.parametrize("name", RUNS)
def test_a_recipe_trains_and_its_run_scores(
    name: str, small_world: Dataset, small_world_path: Path, tiny_backbone: Path, tmp_path: Path
) -> None:
    shipped = load_recipe(ROOT / name)
    recipe = smaller(values(name), small_world_path, tiny_backbone)
    config = RunConfig.parse(recipe, name)
    assert config.system.name == shipped.system.name
    train_run(config, tmp_path / "run")
    run = load_run(tmp_path / "run")
    measured = [
        each for each in read_metrics(run.folder) if f"valid_{run.recommender.metric}" in each
    ]
    trains = RECOMMENDERS[config.system.name].config_class.parameter_groups != ()
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

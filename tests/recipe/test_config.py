from pathlib import Path
from typing import Any

import pytest
import yaml

from corarec.errors import ConfigError
from corarec.recipe import RunConfig, flat_values, load_recipe, write_config
from corarec.recipe.config import is_default

RECIPES = Path(__file__).parents[2] / "recipes"


OF_RUNS = sorted(set(RECIPES.glob("*/*.yaml")) - set(RECIPES.glob("spaces/*")))


@pytest.mark.parametrize("path", OF_RUNS, ids=lambda path: path.stem)
def test_every_recipe_that_ships_is_valid(path: Path) -> None:
    if path.parent.name == "backbone":
        pytest.skip("a pretraining recipe; the backbone's tests read it")
    config = load_recipe(path)
    assert config.data.parts[0] == "data"


def test_a_config_survives_the_way_to_disk_and_back(tmp_path: Path, recipe: dict[str, Any]) -> None:
    config = RunConfig.parse(recipe, "recipe")
    write_config(config, tmp_path / "config.yaml")
    assert load_recipe(tmp_path / "config.yaml") == config


def test_a_recipe_extends_another_and_is_written_in_full(
    tmp_path: Path, recipe: dict[str, Any]
) -> None:
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(recipe))
    top = tmp_path / "top.yaml"
    top.write_text("extends: base.yaml\nsystem: {vectors: {drop_half: 0.25}}\n")
    base, config = load_recipe(tmp_path / "base.yaml"), load_recipe(top)
    expected = base.model_dump()
    expected["system"]["vectors"]["drop_half"] = 0.25
    assert config.model_dump() == expected
    write_config(config, tmp_path / "config.yaml")
    assert "extends" not in (tmp_path / "config.yaml").read_text()
    (tmp_path / "base.yaml").unlink()
    assert load_recipe(tmp_path / "config.yaml") == config


def test_overrides_reach_any_depth(tmp_path: Path, recipe: dict[str, Any]) -> None:
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe))
    config = load_recipe(tmp_path / "r.yaml", ["train.steps=7", "system.vectors.drop_half=0.3"])
    assert config.train.steps == 7
    assert config.system.model_dump()["vectors"]["drop_half"] == 0.3
    with pytest.raises(ConfigError, match="has no value; write it as train.steps=VALUE"):
        load_recipe(tmp_path / "r.yaml", ["train.steps"])
    with pytest.raises(ConfigError, match="has an empty name"):
        load_recipe(tmp_path / "r.yaml", ["train..steps=7"])
    with pytest.raises(ConfigError, match="goes below 'seed', a plain value"):
        load_recipe(tmp_path / "r.yaml", ["seed=1", "seed.x=2"])


def test_all_mistakes_are_listed_at_once(tmp_path: Path, recipe: dict[str, Any]) -> None:
    wrong = {**recipe, "train": {"steps": 0, "batch": 3}, "sede": 1}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(wrong))
    with pytest.raises(ConfigError, match=r"r\.yaml has 3 mistakes") as caught:
        load_recipe(tmp_path / "r.yaml")
    assert all(word in str(caught.value) for word in ("train.steps", "train.batch", "sede"))


def test_a_missing_or_broken_recipe_and_a_missing_cf_model_are_named(
    tmp_path: Path, recipe: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match="no recipe at"):
        load_recipe(tmp_path / "none.yaml")
    (tmp_path / "r.yaml").write_text("data: [")
    with pytest.raises(ConfigError, match="is not YAML"):
        load_recipe(tmp_path / "r.yaml")
    with pytest.raises(ConfigError, match="the system 'cora' needs `cf`"):
        RunConfig.parse({**recipe, "cf": None}, "recipe")
    with pytest.raises(ConfigError, match="no CF model 'mff'"):
        RunConfig.parse({**recipe, "cf": {"model": "mff"}}, "recipe")


def test_a_mistake_in_cf_is_about_the_kind_that_was_meant(recipe: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"1 mistake:\n  cf\.fitted\.model: Extra inputs"):
        RunConfig.parse({**recipe, "cf": {"path": "cf/mf-b", "model": "mf-b"}}, "recipe")
    with pytest.raises(ConfigError, match="no CF model 'mff'") as caught:
        RunConfig.parse({**recipe, "cf": {"model": "mff"}}, "recipe")
    assert "fitted" not in str(caught.value)


def test_a_key_given_twice_is_no_silent_choice(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("data: x\nseed: 1\nseed: 2\n")
    with pytest.raises(ConfigError, match=r"r\.yaml line 3 .*'seed' is given twice"):
        load_recipe(tmp_path / "r.yaml")


def test_heads_of_sasrec_that_do_not_divide(recipe: dict[str, Any]) -> None:
    cf = {"model": "sasrec", "options": {"embedding_size": 10, "heads": 3}}
    with pytest.raises(ConfigError, match=r"heads \(3\) do not divide embedding_size \(10\)"):
        RunConfig.parse({**recipe, "cf": cf}, "recipe")


def test_which_values_are_those_of_their_keys_defaults() -> None:
    config = load_recipe(RECIPES / "ml-1m" / "collm-mf.yaml")
    flat = flat_values(config)
    phase = config.phases[-1].name
    for key, wanted in {
        "system.prompt.past_title": True,
        "system.prompt.no_history": True,
        f"train.phases.{phase}.prompt.past_title": True,
        f"train.phases.{phase}.warmup_steps": False,
        "train.phases.text.learning_rate": False,
        "cf.options.embedding_size": False,
        "train.phases.nobody.steps": False,
        "nonsense": False,
    }.items():
        assert is_default(config, key) == wanted, (key, flat.get(key))

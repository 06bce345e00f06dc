from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corarec.errors import ConfigError
from corarec.pretrain.recipe import load_recipe

Write = Callable[..., Path]
SHIPPED = sorted((Path(__file__).parents[2] / "recipes/backbone").glob("*.yaml"))


def test_steps_and_folder(write_recipe: Write, recipe_values: dict[str, Any], films: Path) -> None:
    recipe = load_recipe(write_recipe(recipe_values))
    assert recipe.steps == 10 + 5
    assert Path(recipe.data_directory) == films


def test_environment_variable_in_folder(
    write_recipe: Write, recipe_values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_recipe(recipe_values | {"data_directory": "$TEXTS_OF_A_TEST/x"})
    monkeypatch.setenv("TEXTS_OF_A_TEST", "/far/away")
    assert load_recipe(path).data_directory == "/far/away/x"
    monkeypatch.delenv("TEXTS_OF_A_TEST")
    with pytest.raises(ConfigError, match="TEXTS_OF_A_TEST is not set"):
        load_recipe(path)


def test_extends_replaces_keys(write_recipe: Write, recipe_values: dict[str, Any]) -> None:
    write_recipe(recipe_values, "base.yaml")
    path = write_recipe({"extends": "base.yaml", "seed": 7, "without_columns": ["votes"]})
    recipe = load_recipe(path)
    assert recipe.seed == 7
    assert recipe.model.hidden == 16
    assert [t.text[:8] for t in recipe.templates("films")] == ["{{ name "]


def test_the_folder_is_seen_from_the_file_that_names_it(
    write_recipe: Write, recipe_values: dict[str, Any], tmp_path: Path
) -> None:
    base = write_recipe(recipe_values | {"data_directory": "texts"}, "base.yaml")
    (tmp_path / "deep").mkdir()
    mine = tmp_path / "deep" / "mine.yaml"
    mine.write_text(f"extends: {base}\nmodel: {{layers: 1}}\n")
    recipe = load_recipe(mine)
    assert recipe.data_directory == str(base.parent / "texts")
    assert (recipe.model.layers, recipe.model.hidden) == (1, 16)
    mine.write_text(f"extends: {base}\ndata_directory: texts\n")
    assert load_recipe(mine).data_directory == str(tmp_path / "deep" / "texts")


def test_every_problem_is_listed(write_recipe: Write, recipe_values: dict[str, Any]) -> None:
    wrong = recipe_values | {"seeed": 1, "log_steps": 0}
    with pytest.raises(ConfigError) as caught:
        load_recipe(write_recipe(wrong))
    assert "seeed: Extra inputs" in str(caught.value)
    assert "log_steps: Input should be greater than 0" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"phases": [{"name": "p", "tokens": 128, "mix": {"moon": 1}}]}, "unknown source moon"),
        (
            {"phases": [{"name": "p", "tokens": 128, "mix": {"films": 1}, "block": 128}]},
            "blocks of 128 tokens, the model has 64 positions",
        ),
        (
            {"phases": [{"name": "p", "tokens": 128, "mix": {"films": 1}, "block": 48}]},
            "batch_tokens 128 is not a multiple of block 48",
        ),
        ({"model": {"hidden": 18, "heads": 4}}, "hidden 18 is not an even multiple of heads 4"),
        ({"model": {"hidden": 12, "heads": 4}}, "hidden 12 is not an even multiple of heads 4"),
        (
            {"model": {"hidden": 16, "heads": 4, "key_value_heads": 3}},
            "heads 4 is not a multiple of key_value_heads 3",
        ),
        (
            {"phases": [{"name": "p", "tokens": 127, "mix": {"films": 1}, "block": 32}]},
            "no phase has the 128 tokens of one step",
        ),
        ({"without_columns": ["votes", "name"]}, "source films is drawn from but has no template"),
    ],
)
def test_parts_that_do_not_fit(
    write_recipe: Write, recipe_values: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe(write_recipe(recipe_values | change))


def test_files_that_are_no_recipe(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    with pytest.raises(ConfigError, match="There is no pretraining recipe at"):
        load_recipe(path)
    path.write_text("- 1\n- 2\n")
    with pytest.raises(ConfigError, match="holds list where keys"):
        load_recipe(path)
    path.write_text("a: [")
    with pytest.raises(ConfigError, match="is not YAML"):
        load_recipe(path)


def test_recipes_that_extend_each_other_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("extends: b.yaml")
    (tmp_path / "b.yaml").write_text("extends: a.yaml")
    with pytest.raises(ConfigError, match="leads in a circle"):
        load_recipe(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text("extends: [b.yaml]")
    with pytest.raises(ConfigError, match="where the path of one recipe was wanted"):
        load_recipe(tmp_path / "a.yaml")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORAREC_CORPORA", "/corpora")
    assert load_recipe(path).steps > 1000


def test_the_recipe_without_votes_reads_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORAREC_CORPORA", "/corpora")
    recipe = load_recipe(SHIPPED[0].parent / "bundled-without-votes.yaml")
    texts = [t.text for name in recipe.sources for t in recipe.templates(name)]
    assert texts
    assert not any("vote_" in text for text in texts)

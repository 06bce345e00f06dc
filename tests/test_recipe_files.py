from pathlib import Path

import pytest
import yaml

from corarec.errors import ConfigError
from corarec.recipe_files import DEEPEST, RecipeKeys, read_recipe
from corarec.types import Config


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_keys_are_added_replaced_and_taken_away(tmp_path: Path) -> None:
    _write(tmp_path / "base.yaml", "a: {x: 1, y: {z: 2, w: 3}}\nlist: [1, 2]\ngone: {k: 1}\n")
    _write(tmp_path / "in" / "between.yaml", "extends: ../base.yaml\na: {y: {z: 5}}\nnew: null\n")
    top = _write(
        tmp_path / "in" / "top.yaml",
        "extends: between.yaml\nlist: [3]\ngone: null\na: {x: {deep: 1}}\n",
    )
    keys = read_recipe(top, "recipe")
    assert keys.values == {
        "a": {"x": {"deep": 1}, "y": {"z": 5, "w": 3}},
        "list": [3],
        "new": None,
    }


def test_a_key_that_was_taken_away_can_be_given_again(tmp_path: Path) -> None:
    _write(tmp_path / "a.yaml", "cf: {model: mf, options: {size: 1}}")
    _write(tmp_path / "b.yaml", "extends: a.yaml\ncf: null")
    top = _write(tmp_path / "c.yaml", "extends: b.yaml\ncf: {model: ridge}")
    assert read_recipe(top, "recipe").values == {"cf": {"model": "ridge"}}


def test_circles_long_chains_and_missing_bases(tmp_path: Path) -> None:
    _write(tmp_path / "self.yaml", "extends: ./self.yaml")
    with pytest.raises(ConfigError, match=r"self\.yaml: `extends: .*` leads in a circle"):
        read_recipe(tmp_path / "self.yaml", "recipe")
    for number in range(DEEPEST + 1):
        base = f"extends: {number + 1}.yaml" if number < DEEPEST else "a: 1"
        _write(tmp_path / f"{number}.yaml", base)
    assert read_recipe(tmp_path / "1.yaml", "recipe").values == {"a": 1}
    with pytest.raises(ConfigError, match=r"0\.yaml extends more than 9 files"):
        read_recipe(tmp_path / "0.yaml", "recipe")
    lost = _write(tmp_path / "lost.yaml", "extends: nowhere.yaml")
    with pytest.raises(ConfigError, match=r"no recipe at .*nowhere\.yaml.*lost\.yaml extends it"):
        read_recipe(lost, "recipe")


@pytest.mark.parametrize("base", [["a.yaml"], 3, None, {"a": 1}])
def test_a_base_is_one_path(tmp_path: Path, base: object) -> None:
    top = _write(tmp_path / "top.yaml", yaml.safe_dump({"extends": base}))
    with pytest.raises(ConfigError, match=r"top\.yaml: `extends` is .* path of one recipe"):
        read_recipe(top, "recipe")


@pytest.mark.parametrize("base", ["''", ".", '"a\\0b"'])
def test_a_base_that_is_no_file(tmp_path: Path, base: str) -> None:
    top = _write(tmp_path / "top.yaml", f"extends: {base}")
    with pytest.raises(ConfigError, match=r"top\.yaml extends it"):
        read_recipe(top, "recipe")


class _Inner(Config):
    x: int = 0


class _Outer(Config):
    inner: _Inner = _Inner()
    other: int = 0


def test_a_mistake_names_the_file_that_made_it(tmp_path: Path) -> None:
    base = _write(tmp_path / "base.yaml", "inner: {x: one, z: 1}\nother: two\n")
    top = _write(tmp_path / "top.yaml", "extends: base.yaml\nother: three\n")
    keys = read_recipe(top, "recipe")
    with pytest.raises(ConfigError, match=r"top\.yaml has 3 mistakes") as caught:
        _Outer.parse(keys.values, str(top), keys.place)
    of_x, of_z, of_other = str(caught.value).splitlines()[1:]
    assert of_x.startswith("  inner.x: ")
    assert of_x.endswith(f"(from {base})")
    assert of_z.endswith(f"(from {base})")
    assert "from" not in of_other
    keys.override("inner.x=never")
    with pytest.raises(ConfigError, match=r"inner\.x: .*\(from the override 'inner\.x=never'\)"):
        _Outer.parse(keys.values, str(top), keys.place)


def test_aliased_mappings_are_told_apart(tmp_path: Path) -> None:
    top = _write(tmp_path / "top.yaml", "a: &a {x: 1}\nb: *a\n")
    keys = read_recipe(top, "recipe")
    keys.override("a.x=2")
    assert keys.values == {"a": {"x": 2}, "b": {"x": 1}}


def test_an_override_goes_below_null() -> None:
    keys = RecipeKeys(Path("r.yaml"), {"cf": None})
    keys.override("cf.model=mf")
    assert keys.values == {"cf": {"model": "mf"}}


def test_an_entry_of_a_list_is_named_or_numbered_from_one(tmp_path: Path) -> None:
    text = "phases: [{name: a, x: 1}, {name: b}, {name: '1'}]\nparts: [{x: 1}, {x: 2}]\n"
    (tmp_path / "a.yaml").write_text(text)
    keys = read_recipe(tmp_path / "a.yaml", "recipe")
    keys.override("phases.b.x=2")
    keys.override("phases.2.y=3")
    keys.override("phases.1.x=4")  # the one of that name
    keys.override("parts.1.x=5")
    assert keys.values["phases"] == [
        {"name": "a", "x": 1},
        {"name": "b", "x": 2, "y": 3},
        {"name": "1", "x": 4},
    ]
    assert keys.values["parts"] == [{"x": 5}, {"x": 2}]
    for wrong in ("0", "3", "-1", "9" * 9000, "\u0661"):
        with pytest.raises(ConfigError, match="in a list that has no entries with a name"):
            keys.override(f"parts.{wrong}.x=1")

from pathlib import Path
from typing import Any

import pytest
import yaml

from corarec.benchmark.suite_reading import find_file, load_suite
from corarec.errors import ConfigError

ROW = {"recipe": "cora.yaml"}


def write(path: Path, **values: Any) -> Path:
    path.write_text(yaml.safe_dump(values))
    return path


def test_a_file_is_looked_for_from_here_and_from_the_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    (here / "recipes").mkdir(parents=True)
    there.mkdir()
    monkeypatch.chdir(here)
    name, suite_file = Path("recipes/a.yaml"), there / "suite.yaml"
    with pytest.raises(ConfigError, match=r"not at .*here/recipes/a\.yaml nor at .*there/recipes"):
        find_file(name, suite_file, "recipe")
    (here / name).write_text("x")
    assert find_file(name, suite_file, "recipe").samefile(here / name)
    (there / "recipes").symlink_to(here / "recipes")
    assert find_file(name, suite_file, "recipe").samefile(here / name)
    (there / "recipes").unlink()
    (there / "recipes").mkdir()
    (there / name).write_text("y")
    with pytest.raises(ConfigError, match="there are two"):
        find_file(name, suite_file, "recipe")
    (here / name).unlink()
    assert find_file(name, suite_file, "recipe").samefile(there / name)
    assert find_file((there / name).absolute(), suite_file, "recipe") == there / name


def test_the_rows_of_another_suite_are_taken_with_its_seeds(tmp_path: Path) -> None:
    (tmp_path / "cora.yaml").write_text("data: x\n")
    published = {"AUC": 0.7}
    rows = {"A": ROW | {"published": published}, "B": {"beside": "A | mf alone"}}
    write(tmp_path / "first.yaml", seeds=[3, 4], split="test", systems=rows)
    use = {"use": {"suite": "first.yaml", "row": "A"}}
    second = load_suite(write(tmp_path / "second.yaml", systems={"C": use, "D": ROW}))
    used = second.systems["C"].use
    assert used is not None
    assert (used.suite.stem, used.row) == ("first", "A")
    assert second.systems["C"].published[0].metrics == {"auc": 0.7}
    view = load_suite(write(tmp_path / "view.yaml", use="first.yaml", against="B"))
    assert (view.seeds, view.split) == ((3, 4), "test")
    assert list(view.systems) == ["A", "B"]
    assert view.systems["A"].use == used
    through = write(tmp_path / "third.yaml", systems={"E": {"use": {"suite": "second.yaml"}}})
    values = yaml.safe_load(through.read_text())
    values["systems"]["E"]["use"]["row"] = "C"
    third = load_suite(write(through, **values))
    assert third.systems["E"].use == used
    wrong = {"use": {"suite": "first.yaml", "row": "AA"}}
    with pytest.raises(ConfigError, match="no row 'AA'"):
        load_suite(write(tmp_path / "wrong.yaml", systems={"C": wrong}))
    with pytest.raises(ConfigError, match="no row 'Z'"):
        load_suite(write(tmp_path / "wrong.yaml", use="first.yaml", comparisons=[["A", "Z"]]))
    with pytest.raises(ConfigError, match="in a circle"):
        load_suite(write(tmp_path / "circle.yaml", use="circle.yaml"))


def test_seeds_can_be_given_and_no_suite_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "cora.yaml").write_text("data: x\n")
    path = write(tmp_path / "suite.yaml", systems={"A": ROW})
    assert load_suite(path, [7]).seeds == (7,)
    with pytest.raises(ConfigError, match="There is no suite at"):
        load_suite(tmp_path / "none.yaml")

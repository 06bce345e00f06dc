from pathlib import Path
from typing import Any

import pytest
import yaml

from corarec.benchmark.suite import Published, Suite, find_file, folder_name, load_suite
from corarec.errors import ConfigError

ROW = {"recipe": "cora.yaml"}


def suite(**values: Any) -> Suite:
    return Suite.parse({"seeds": [0], "split": "valid", "systems": {"A": ROW}} | values, "the test")


def test_what_was_a_study_is_a_suite() -> None:
    found = suite(
        seeds=[0, 1, 2],
        systems={"A": ROW | {"set": ["train.steps=3"]}, "B": ROW},
        comparisons=[["A", "B"], ["A", "A | mf alone"], ["B", "Item rate"]],
    )
    assert found.seeds == (0, 1, 2)
    assert found.systems["A"].set == ("train.steps=3",)
    assert found.comparisons[1] == ("A", "A | mf alone")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"comparisons": [["A", "B"]]}, r"no row 'B'\. Rows: A, Item rate, Logistic"),
        ({"against": "Aa"}, r"no row 'Aa'\. Did you mean 'A'\?"),
        ({"comparisons": [["A", "B | mf alone"]]}, "no row 'B | mf alone'"),
        ({"comparisons": [["A", "A"]]}, "compared with itself"),
        ({"systems": {}}, "nothing to show"),
        ({"systems": {"A | B": ROW}}, "no name of a row"),
        ({"systems": {" ": ROW}}, "no name of a row"),
        ({"systems": {"a\nb": ROW}}, "no name of a row"),
        ({"systems": {"\x1b[2J": ROW}}, "no name of a row"),
        ({"systems": {"x" * 300: ROW}}, "too long for the name of a folder"),
        ({"systems": {"Item rate": ROW}}, "a trivial reference"),
        ({"systems": {"a b": ROW, "A-b": ROW}}, r"'a b' and 'A-b' would have the same run folders"),
        ({"systems": {"A": {}}}, "one of recipe, use, beside"),
        ({"systems": {"A": ROW, "B": {"ensemble": "C"}}}, r"`ensemble` of 'B': .*no row 'C'"),
        (
            {"systems": {"A": ROW, "B": {"ensemble": "A"}, "C": {"ensemble": "B"}}},
            r"no row 'B'\. .*Rows: A",
        ),
        ({"systems": {"A": ROW | {"beside": "B | x"}}}, "one of recipe, use, beside"),
        ({"systems": {"A": ROW, "B": {"beside": "A"}}}, "write ROW | COLUMN"),
        ({"systems": {"A": ROW, "B": {"beside": "C | x"}}}, r"no row 'C'\. .*Rows: A"),
        (
            {"systems": {"A": ROW, "B": {"beside": "A | x", "set": ["seed=1"]}}},
            "go with a recipe",
        ),
        ({"systems": {"A": ROW | {"init_from": {"row": "B"}}}}, "no row 'B'"),
        ({"systems": {"A": ROW | {"init_from": {"row": "A"}}}}, "in a circle to 'A'"),
        (
            {
                "systems": {
                    "A": ROW | {"init_from": {"row": "B"}},
                    "B": ROW | {"init_from": {"row": "A"}},
                }
            },
            "in a circle to 'A'",
        ),
        ({"seeds": []}, "at least 1 item"),
        ({"seeds": [1, 1]}, "1 stands there twice"),
        ({"seeds": [-1]}, "greater than or equal to 0"),
        ({"seeds": [True]}, "seeds"),
        ({"split": "train"}, "'valid' or 'test'"),
        ({"metrics": ["auk"]}, "no metric 'auk'"),
        ({"metrics": []}, "at least 1 item"),
        ({"parts": {"interactions": [0, 5]}}, "greater than or equal to 1"),
        ({"system": {}}, "Did you mean 'systems'"),
    ],
)
def test_a_mistake_is_told_before_any_work(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        suite(**values)


def test_published_numbers_are_by_metric_and_say_their_source() -> None:
    one = {"AUC": 0.7361, "UAUC": 0.6884, "source": "CoRA, Table 3"}
    row = suite(systems={"A": ROW | {"published": one}}).systems["A"]
    assert row.published == (
        Published(source="CoRA, Table 3", metrics={"auc": 0.7361, "uauc": 0.6884}),
    )
    several = suite(systems={"A": ROW | {"published": [one, {"AUC": 0.7}]}}).systems["A"]
    assert [each.source for each in several.published] == ["CoRA, Table 3", "published"]
    for wrong, message in (({"AUK": 1}, "'AUK' is no metric"), ({"AUC": float("nan")}, "finite")):
        with pytest.raises(ConfigError, match=message):
            suite(systems={"A": ROW | {"published": wrong}})


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


def write(path: Path, **values: Any) -> Path:
    path.write_text(yaml.safe_dump(values))
    return path


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


@pytest.mark.parametrize(
    ("row", "folder"),
    [("CoRA-MF, shuffled users", "cora-mf--shuffled-users-0"), ("É/..", "é----0")],
)
def test_the_folder_of_a_row(row: str, folder: str) -> None:
    assert folder_name(row, 0) == folder

from typing import Any

import pytest

from corarec.benchmark.suite import Published, Suite, folder_name
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


@pytest.mark.parametrize(
    ("row", "folder"),
    [("CoRA-MF, shuffled users", "cora-mf--shuffled-users-0"), ("É/..", "é----0")],
)
def test_the_folder_of_a_row(row: str, folder: str) -> None:
    assert folder_name(row, 0) == folder

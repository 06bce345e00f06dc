"""Imports point forward along the walk of the data, whose order stands in docs/architecture.md."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import corarec

PACKAGE = Path(corarec.__file__).parent
PAGE = Path(__file__).parents[1] / "docs" / "architecture.md"

BACKWARD = {
    (
        "corarec",
        "cli/using.py",
        "quickstart",
    ): "the quickstart is a command, and prints as commands do",
    ("corarec.cf", "choice.py", "registry"): "models are found by name, and one is made of choices",
    ("corarec.cf", "borrowed/fused.py", "registry"): "a model made of models of any kind",
}
"""Imports that point backward, and why they may."""


HOUSES = ("corarec", "corarec.cf")
"""Packages whose rooms stand in order in a table of the page."""


def rooms(house: str) -> list[str]:
    """Return the rooms in the order of the house's table, by the names that imports use."""
    whole, *inside = PAGE.read_text("utf-8").split("## Inside `")
    tables = {"corarec": whole}
    tables |= {f"corarec.{text.partition('/`')[0]}": text.partition("\n## ")[0] for text in inside}
    rows = re.findall(r"^\| (`[^|]+`) \|", tables[house], re.MULTILINE)
    return [
        name.removesuffix(".py").rstrip("/") for row in rows for name in re.findall("`(.+?)`", row)
    ]


def imported(source: str, house: str = "corarec") -> Iterator[str]:
    """Yield the rooms that a module imports anywhere in it, lazily or for types."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports inside the package are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            rest = name.removeprefix(f"{house}.")
            if rest not in (name, "__version__"):
                yield rest.partition(".")[0]


def backward(path: str, source: str, house: str = "corarec") -> list[str]:
    """Return the rooms that a module imports though they do not stand before its own."""
    order = rooms(house)
    room = path.removesuffix(".py").partition("/")[0]
    before = order[: order.index(room) + 1]
    return [
        other
        for other in dict.fromkeys(imported(source, house))
        if other not in before and (house, path, other) not in BACKWARD
    ]


def folder(house: str) -> Path:
    return PACKAGE.joinpath(*house.split(".")[1:])


def modules(house: str) -> list[str]:
    # Its `__init__.py` is the face of a house: that of the package imports by name, when asked.
    paths = (path.relative_to(folder(house)).as_posix() for path in folder(house).rglob("*.py"))
    return sorted(path for path in paths if path != "__init__.py")


@pytest.mark.parametrize(
    ("house", "path"), [(house, path) for house in HOUSES for path in modules(house)]
)
def test_a_module_imports_only_rooms_that_stand_before_its_own(house: str, path: str) -> None:
    assert backward(path, (folder(house) / path).read_text("utf-8"), house) == []


@pytest.mark.parametrize("house", HOUSES)
def test_the_page_names_every_room_once_and_no_other(house: str) -> None:
    there = {path.removesuffix(".py").partition("/")[0] for path in modules(house)}
    assert sorted(rooms(house)) == sorted(there)


def test_every_exception_is_needed() -> None:
    for house, path, other in BACKWARD:
        assert other in imported((folder(house) / path).read_text("utf-8"), house)


@pytest.mark.parametrize(
    "source",
    [
        "from corarec.train import train_run",
        "from corarec import train",
        "import corarec.train.run",
        "def f():\n    from corarec.train.run import train_run",
        "if TYPE_CHECKING:\n    import corarec.train",
    ],
)
def test_an_import_that_points_backward_is_found(source: str) -> None:
    assert backward("runs/open.py", source) == ["train"]
    assert backward("train/run.py", source) == []
    inside = source.replace("corarec", "corarec.cf").replace("train", "borrowed")
    assert backward("factors/mf.py", inside, "corarec.cf") == ["borrowed"]
    assert backward("fit.py", inside, "corarec.cf") == []

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
    ("cli/using.py", "quickstart"): "the quickstart is a command, and prints as commands do",
}
"""Imports that point backward, and why they may."""


def rooms() -> list[str]:
    """Return the rooms in the order of the page's table, by the names that imports use."""
    rows = re.findall(r"^\| (`[^|]+`) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    return [
        name.removesuffix(".py").rstrip("/") for row in rows for name in re.findall("`(.+?)`", row)
    ]


def imported(source: str) -> Iterator[str]:
    """Yield the rooms that a module of the package imports anywhere in it, lazily or for types."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports inside the package are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package == "corarec" and rest != "__version__":
                yield rest.partition(".")[0]


def backward(path: str, source: str, order: list[str]) -> list[str]:
    """Return the rooms that a module imports though they do not stand before its own."""
    room = path.removesuffix(".py").partition("/")[0]
    before = order[: order.index(room) + 1]
    return [
        other
        for other in dict.fromkeys(imported(source))
        if other not in before and (path, other) not in BACKWARD
    ]


def modules() -> list[str]:
    # `corarec/__init__.py` is the face of the package: it imports by name, when first asked.
    paths = (path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
    return sorted(path for path in paths if path != "__init__.py")


@pytest.mark.parametrize("path", modules())
def test_a_module_imports_only_rooms_that_stand_before_its_own(path: str) -> None:
    assert backward(path, (PACKAGE / path).read_text("utf-8"), rooms()) == []


def test_the_page_names_every_room_once_and_no_other() -> None:
    there = {path.removesuffix(".py").partition("/")[0] for path in modules()}
    assert sorted(rooms()) == sorted(there)


def test_every_exception_is_needed() -> None:
    for path, other in BACKWARD:
        assert other in imported((PACKAGE / path).read_text("utf-8"))


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
    assert backward("runs/open.py", source, rooms()) == ["train"]
    assert backward("train/run.py", source, rooms()) == []

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from corarec.errors import ConfigError
from corarec.registry import Registry, plug_ins

GROUP = "corarec.test_shapes"


class Shape:
    name = "shape"


class Square(Shape):
    name = "square"


def registry() -> Registry[Shape]:
    return Registry("shape", GROUP, Shape, {"square": Square}, own_name=lambda kind: kind.name)


def bring(folder: Path, package: str, code: str, points: str) -> None:
    """Put a package with these entry points into a folder."""
    (folder / f"{package}.py").write_text(code, "utf-8")
    facts = folder / f"{package}-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(f"[{GROUP}]\n{points}\n")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "shapes_of_tests", sys.modules[__name__])
    return tmp_path


CIRCLE = """
from shapes_of_tests import Shape
class Circle(Shape):
    name = "circle"
class Oval(Shape):
    name = "ellipse"
"""


def test_a_package_brings_a_class_that_is_imported_when_asked_for(folder: Path) -> None:
    bring(folder, "circles_a", CIRCLE, "circle = circles_a:Circle")
    shapes = registry()
    assert list(shapes) == ["square", "circle"]
    assert (len(shapes), "circle" in shapes, "star" in shapes) == (2, True, False)
    assert "circles_a" not in sys.modules
    assert shapes["circle"].name == "circle"
    assert shapes["circle"] is shapes["circle"]
    assert "circles_a" in sys.modules
    with pytest.raises(KeyError):
        shapes["star"]


@pytest.mark.parametrize(
    ("code", "point", "why"),
    [
        ("raise RuntimeError('no driver')", "star = stars:Star", "RuntimeError: no driver"),
        ("import not_there_at_all", "star = stars:Star", "No module named 'not_there_at_all'"),
        ("", "star = stars:Star", "AttributeError: .*'Star'"),
        ("Star = 3", "star = stars:Star", "3 is no subclass of .*Shape"),
        (CIRCLE, "star = stars:Oval", "Oval calls itself 'ellipse'"),
        (
            "import abc\nfrom shapes_of_tests import Shape\n"
            "class Star(Shape, abc.ABC):\n    @abc.abstractmethod\n    def rays(self): ...",
            "star = stars:Star",
            "Star lacks rays",
        ),
    ],
)
def test_a_broken_package_is_named_and_breaks_no_other(
    code: str, point: str, why: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(folder, "circles_b", CIRCLE, "circle = circles_b:Circle")
    bring(folder, "stars", code, point)
    monkeypatch.delitem(sys.modules, "stars", raising=False)
    shapes = registry()
    with pytest.raises(ConfigError, match=f"(?s)shape 'star' of the package stars.*{why}"):
        shapes["star"]
    warnings: list[str] = []
    assert list(shapes.usable(warnings.append)) == ["square", "circle"]
    assert len(warnings) == 1
    assert "Mend or update that package, or uninstall it." in warnings[0]
    monkeypatch.delitem(sys.modules, "stars", raising=False)


@pytest.mark.parametrize(
    ("point", "owners"),
    [("square = circles_c:Circle", "corarec, circles_c"), ("circle = x:Circle", "circles_c, more")],
)
def test_a_name_of_two_packages_is_an_error_that_names_both(
    point: str, owners: str, folder: Path
) -> None:
    bring(folder, "circles_c", CIRCLE, f"{point}\noval2 = circles_c:Circle")
    bring(folder, "more", CIRCLE, "circle = more:Circle")
    name = point.split()[0]
    with pytest.raises(ConfigError, match=f"shape '{name}' is in several packages: {owners}"):
        registry()[name]


def test_names_are_listed_without_an_import(folder: Path) -> None:
    bring(folder, "circles_d", "raise RuntimeError", "circle = circles_d:Circle")
    (point,) = plug_ins(GROUP)["circle"]
    assert isinstance(point, EntryPoint)
    assert list(registry()) == ["square", "circle"]

import re
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure as Canvas
from matplotlib.image import imread

from corarec import report
from corarec.report.chart import (
    COLOURS,
    WIDTH,
    Chart,
    axes,
    colour,
    dash,
    guide,
    one_line,
    short_number,
    tip,
    wrapped,
)

ODD = '<script>&amp; $\\alpha$ "quoted" \u05de\u05e2\u05e8\u05db\u05ea'


def drawn(canvas: Canvas) -> None:
    on = axes(canvas)
    (line,) = on.plot([0, 1], [0.2, 0.9], color=colour("s1"), linestyle=dash("s1 again"))
    tip(line, ODD)
    (dot,) = on.plot(0.5, 0.5, "o", color=colour("better"))
    tip(dot, "a dot")
    guide(on, [0, 1], [0, 1])
    on.fill_between([0, 1], 0, [0.1, 0.2], color=colour("s0"), alpha=0.2)
    on.set_xlabel(ODD)


CHART = Chart(drawn, 'the "best" & <only>')


def test_the_colours_are_those_of_the_style_sheet_in_the_light() -> None:
    css = (Path(report.__file__).parent / "page.css").read_text("utf-8")
    light = css[: css.index("@media")]
    values = dict(re.findall(r"--([\w]+): (#[0-9a-f]{6})", light))
    assert values.items() >= COLOURS.items()
    assert len(set(COLOURS.values())) == len(COLOURS)
    dark = re.findall(r"--(\w+):", css[css.index("@media") : css.index("* {")])
    assert set(COLOURS) <= set(dark)


def test_in_the_page_colours_and_font_are_those_of_the_style_sheet() -> None:
    svg = CHART.inline()
    assert "var(--s1)" in svg
    assert "var(--better)" in svg
    assert "var(--soft)" in svg
    assert re.findall(r": #[0-9a-f]{6}", svg) == []
    assert "DejaVu" not in svg
    assert "\n" not in svg


def test_in_the_page_a_chart_is_well_formed_and_loads_nothing() -> None:
    svg = CHART.inline()
    assert not re.search(r"https?:|url\(|<style|<metadata|@import", svg)
    root = ElementTree.fromstring(svg.replace("xlink:href", "href"))
    assert root.attrib["aria-label"] == 'the "best" & <only>'
    assert root.attrib["viewBox"] == f"0 0 {WIDTH:g} 260"
    titles = [element.text for element in root.iter("title")]
    assert titles == [ODD.replace('"', "\N{RIGHT DOUBLE QUOTATION MARK}"), "a dot"]
    assert ODD in [element.text for element in root.iter("text")]
    ids = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    links = {element.attrib["href"] for element in root.iter() if "href" in element.attrib}
    assert links == {f"#{name}" for name in ids}


def test_files_have_title_and_legend_and_are_the_same_every_time() -> None:
    legend = [("s1", ODD), ("s0 again", "a name " * 40)]
    files = CHART.files("A title & more", legend)
    assert files == CHART.files("A title & more", legend)
    root = ElementTree.fromstring(files["svg"])
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"A title & more", ODD} <= set(texts)
    assert sum("a name" in (text or "") for text in texts) == 3
    pixels = imread(BytesIO(files["png"]))
    assert pixels.shape[:2] == (int((260 + 14 * 6) / 72 * 200), 1000)
    assert b"2026" not in files["svg"]


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (950, "950"), (1200, "1,200"), (20_000, "20k"), (1.5e6, "1.5M")]
)
def test_counts_fit_beside_an_axis(value: float, text: str) -> None:
    assert short_number(value) == text


def test_names_are_cut_and_steer_nothing() -> None:
    assert one_line("a" * 30 + "b" * 60, 21) == "a" * 10 + "\N{HORIZONTAL ELLIPSIS}" + "b" * 10
    assert one_line("a\u202eb") == "a\\u202eb"
    assert wrapped("") == [""]
    assert len(wrapped("word " * 200)) == 3

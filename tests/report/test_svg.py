from xml.etree import ElementTree

import pytest

from corarec.report.svg import Axis, digits_of, round_step, strip, strip_axis


@pytest.mark.parametrize(
    ("step", "rounded"), [(0.013, 0.02), (0.2, 0.2), (0.21, 0.5), (6.0, 10.0), (999.0, 1000.0)]
)
def test_steps_are_round_numbers(step: float, rounded: float) -> None:
    assert round_step(step) == pytest.approx(rounded)


@pytest.mark.parametrize(("step", "digits"), [(0.02, 2), (0.1, 1), (0.5, 1), (1.0, 0), (50.0, 0)])
def test_digits_follow_the_step(step: float, digits: int) -> None:
    assert digits_of(step) == digits


def test_an_axis_spans_its_values_with_round_ticks() -> None:
    axis = Axis.fit([0.52, 0.71], "AUC")
    assert axis.low < 0.52
    assert axis.high > 0.71
    assert axis.ticks == pytest.approx((0.6, 0.7))
    assert [axis.text(tick) for tick in axis.ticks] == ["0.6", "0.7"]
    assert axis.fraction(axis.low) == 0
    assert axis.fraction(axis.high) == 1


def test_an_axis_of_one_value_has_a_width() -> None:
    for value in (0.0, 0.7, -3.0):
        axis = Axis.fit([value], "loss")
        assert axis.low < value < axis.high


def test_ticks_have_a_real_minus_and_no_negative_zero() -> None:
    axis = Axis(-1, 1, "difference", (-0.5, -1e-9, 0.5), digits=1)
    assert [axis.text(tick) for tick in axis.ticks] == ["\N{MINUS SIGN}0.5", "0.0", "0.5"]
    assert Axis(0, 5000, "step", (2000,), digits=0).text(2000) == "2,000"


def test_a_strip_places_an_interval_in_percent() -> None:
    axis = Axis(0.0, 2.0, "AUC", (0.0, 1.0), digits=1)
    svg = ElementTree.fromstring(str(strip(axis, 1.0, 0.5, 1.5, "s0", guide=0.5, label="1 < 2")))
    (dot,) = svg.iter("circle")
    assert dot.attrib["cx"] == "50.00%"
    interval = svg.findall("line")[-1]
    assert (interval.attrib["x1"], interval.attrib["x2"]) == ("25.00%", "75.00%")
    assert svg.attrib["aria-label"] == "1 < 2"
    labels = [text.text for text in ElementTree.fromstring(str(strip_axis(axis))).iter("text")]
    assert labels == ["0.0", "1.0"]


@pytest.mark.parametrize(
    ("value", "arrow", "place", "end"),
    [(5.0, "\N{RIGHTWARDS ARROW}", "100%", "end"), (-5.0, "\N{LEFTWARDS ARROW}", "0%", "start")],
)
def test_what_lies_beyond_the_axis_is_an_arrow_at_its_end(
    value: float, arrow: str, place: str, end: str
) -> None:
    axis = Axis(0.0, 2.0, "AUC", (), digits=1)
    drawing = strip(axis, value, min(value, 1.0), max(value, 1.0), "s0", label="far")
    svg = ElementTree.fromstring(str(drawing))
    assert list(svg.iter("circle")) == []
    (text,) = svg.iter("text")
    assert (text.text, text.attrib["x"]) == (arrow, place)
    assert end in text.attrib["class"].split()
    (interval,) = svg.findall("line")
    ends = {interval.attrib["x1"], interval.attrib["x2"]}
    assert ends == {"50.00%", "100.00%" if value > 0 else "0.00%"}
    outside = strip(axis, value, value, value, "s0", label="far")
    assert ElementTree.fromstring(str(outside)).findall("line") == []

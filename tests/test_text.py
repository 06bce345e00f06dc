import pytest

from corarec.text import is_steering, printable, printable_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Café 日本 🎬", "Café 日本 🎬"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("a\nb\tc\r\x00", r"a\nb\tc\r\x00"),
        ("\u202egpj.exe\u2066\ufeff\u200b", r"\u202egpj.exe\u2066\ufeff\u200b"),
        ("a\u2028b\x85", r"a\u2028b\x85"),
        ("\U000e0041", r"\U000e0041"),
        ("\U0001f468\u200d\U0001f469", "\U0001f468\u200d\U0001f469"),
    ],
)
def test_what_steers_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert not any(map(is_steering, printable(text)))


def test_long_texts_are_cut() -> None:
    assert printable("x" * 50, 10) == "x" * 10 + "…"
    assert printable("x" * 10, 10) == "x" * 10
    assert printable(ValueError("a\x07")) == r"a\x07"


def test_a_message_keeps_its_line_breaks_and_its_length() -> None:
    assert printable_lines("two\nlines\x07 " + "x" * 2_000) == "two\nlines\\x07 " + "x" * 2_000

"""Text of the data on its way to people: nothing of it may steer a terminal or a page of one."""

import unicodedata

JOINERS = "\u200c\u200d"
"""zero-width joiner and non-joiner: Persian, Hindi and emoji are written with them"""
_STEERING = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""control, format (direction marks among them), lone surrogates, separators of lines"""


def is_steering(character: str) -> bool:
    """Whether a character shows nothing but changes how a terminal or a page shows others."""
    return unicodedata.category(character) in _STEERING and character not in JOINERS


def printable(text: object, most: int = 1_000) -> str:
    r"""Return `text` on one line, steering characters as escapes such as `\x1b` and `\u202e`.

    Parameters
    ----------
    text
        anything; its `str` is taken
    most
        characters; a longer text is cut and ends in an ellipsis
    """
    shown = str(text)
    cut = shown[:most] + "…" * (len(shown) > most)
    if cut.isascii() and cut.isprintable():
        return cut
    return "".join(
        character.encode("unicode_escape").decode("ascii") if is_steering(character) else character
        for character in cut
    )


def printable_lines(text: str) -> str:
    """Return a whole message as `printable` does, its line breaks kept and nothing cut."""
    return "\n".join(printable(line, len(line)) for line in text.split("\n"))

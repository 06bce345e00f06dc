"""Answers as words: exact match, the choice that an answer names, ROUGE-L."""

import re
import unicodedata
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_WORD = re.compile(r"\w+")


def plain(text: str) -> str:
    """Return a text as exact match compares it: no case, punctuation, articles or extra spaces."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(" " if unicodedata.category(c)[0] in "PZC" else c for c in folded)
    return " ".join(_ARTICLES.sub(" ", kept).split())


def exact(written: str, accepted: Sequence[str]) -> bool:
    """Whether an answer is one of those that are accepted, word for word; nothing never is."""
    answer = plain(written)
    return bool(answer) and answer in {plain(each) for each in accepted}


def first_choice(written: str, choices: Sequence[str]) -> str:
    """Return the choice that an answer names first, as a word of its own; "" where it names none.

    Where two begin at one place the longer counts.
    """
    found = [
        (match.start(), -len(choice), choice)
        for choice in choices
        if (match := re.search(rf"(?<!\w){re.escape(choice)}(?!\w)", written, re.IGNORECASE))
    ]
    return min(found)[2] if found else ""


def words(text: str) -> list[str]:
    """Return the words that ROUGE compares: letters and digits of any script, no case."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def rouge_l(written: str, reference: str) -> float:
    """Return ROUGE-L: the F1 of the longest common subsequence of words (Lin 2004), 0 to 1."""
    first, second = words(written), words(reference)
    if not first or not second:
        return 0.0
    before = [0] * (len(second) + 1)
    for word in first:
        row = [0]
        for place, other in enumerate(second, start=1):
            row.append(
                before[place - 1] + 1 if word == other else max(before[place], row[place - 1])
            )
        before = row
    # 2 P R / (P + R) with P = common / |first| and R = common / |second|
    return 2 * before[-1] / (len(first) + len(second))

"""Items by title as people type it."""

import unicodedata
from collections.abc import Callable, Mapping

from corarec.extras import needs

LEAST = 60.0
"""Of 100: what matches less is not told."""
NEAR = 10
"""Titles that are looked at closely, for each that is wanted."""
WORDS = 12
"""Words of a query that count."""
CHARACTERS = 80
"""Characters of a query that count: the time of a search grows with them."""


def nearest(query: str, texts: Mapping[str, str], count: int) -> list[tuple[str, float]]:
    """Return the items whose titles are nearest to a query, the best first, each with its match.

    Parameters
    ----------
    texts
        Raw id of an item -> its title, `folded`.
    count
        So many at most.

    Returns
    -------
    Raw ids and how well they match, of 100.

    Raises
    ------
    ConfigError
        The package for it is not installed.
    """
    with needs("serve"):
        from rapidfuzz import fuzz, process
    text = folded(query)[:CHARACTERS]
    if not text:
        return []
    holding = sorted(
        (item for item, title in texts.items() if text in title),
        key=lambda item: (not texts[item].startswith(text), len(texts[item])),
    )
    matches = dict.fromkeys(holding[:count], 100.0)
    if len(matches) < count:
        near: set[str] = set()
        for scorer in (fuzz.partial_ratio, fuzz.token_set_ratio):
            found = process.extract(text, texts, scorer=scorer, limit=NEAR * count, processor=None)
            near |= {item for _, _, item in found}
        words = text.split()[:WORDS]
        scored = {
            item: _matching(words, texts[item], fuzz.ratio)
            for item in sorted(near - matches.keys())
        }
        best = sorted(scored.items(), key=lambda each: -each[1])
        matches |= {item: match for item, match in best if match >= LEAST}
    return list(matches.items())[:count]


def folded(text: str) -> str:
    """Return text without case, accents and punctuation, unless it has nothing else."""
    plain = unicodedata.normalize("NFKD", text)
    kept = "".join(
        character if character.isalnum() else " "
        for character in plain
        if not unicodedata.combining(character)
    )
    return " ".join(kept.casefold().split()) or " ".join(plain.casefold().split())


def _matching(words: list[str], title: str, ratio: Callable[[str, str], float]) -> float:
    """Return how well words are found in a title, in whatever order: 0 to 99."""
    there = title.split() or [""]
    each = [max(ratio(word, other) for other in there) for word in words]
    return min(99.0, round(sum(each) / len(each), 1))

import re

import numpy as np

from corarec.data.sources.synthetic_titles import (
    FIRST_YEAR,
    GENRE_WORDS,
    GENRES,
    LAST_YEAR,
    QUALITY_WORDS,
    invent_titles,
)


def test_titles_are_distinct_and_tell_genre_and_quality() -> None:
    random = np.random.default_rng(0)
    genres = random.integers(0, len(GENRES), 500)
    qualities = random.integers(0, len(QUALITY_WORDS), 500)
    titles = invent_titles(genres, qualities, np.random.default_rng(1))
    assert len(set(titles)) == len(titles) == 500
    for title, genre, quality in zip(titles, genres, qualities, strict=True):
        found = re.fullmatch(r"The (\w+) (\w+) \((\d{4})\)", title)
        assert found is not None
        adjective, noun, year = found.groups()
        assert adjective == QUALITY_WORDS[quality]
        assert noun in GENRE_WORDS[GENRES[genre]]
        assert FIRST_YEAR <= int(year) <= LAST_YEAR
    assert titles == invent_titles(genres, qualities, np.random.default_rng(1))
    assert titles != invent_titles(genres, qualities, np.random.default_rng(2))


def test_no_noun_tells_two_genres() -> None:
    nouns = [noun for words in GENRE_WORDS.values() for noun in words]
    assert len(nouns) == len(set(nouns))
    assert not set(nouns) & set(QUALITY_WORDS)

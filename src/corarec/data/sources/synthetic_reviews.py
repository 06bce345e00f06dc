"""Invented reviews that tell what a film is about, how good it is and what its viewer likes."""

from collections.abc import Iterator

import numpy as np

from corarec.data.sources.synthetic_titles import GENRE_WORDS, GENRES
from corarec.types import BoolArray, FloatArray, IntArray

OPINIONS = ("I hated it", "I did not like it", "It was all right", "I enjoyed it", "I loved it")
"""By rating, 1 first."""
MAKING = ("badly made", "poorly told", "decent", "well told", "brilliantly made")
"""By quality, the lowest first."""


def invent_reviews(
    ratings: IntArray,
    genres: IntArray,
    qualities: FloatArray,
    likes: BoolArray,
    generator: np.random.Generator,
) -> list[str]:
    """Return a review of each interaction, such as `I loved it. A space film ...`.

    Parameters
    ----------
    ratings
        [N] 1 to 5, told by the first sentence
    genres
        [N] index of the film's genre into `GENRES`, told by its name and two of its words
    qualities
        [N] 0 to 1, how good the film is among all, told in five degrees
    likes
        [N, G] which genres the viewer likes; one of them is named
    generator
        chooses among words
    """
    return list(_reviews(ratings, genres, qualities, likes, generator))


def _reviews(
    ratings: IntArray,
    genres: IntArray,
    qualities: FloatArray,
    likes: BoolArray,
    generator: np.random.Generator,
) -> Iterator[str]:
    degrees = np.minimum((qualities * len(MAKING)).astype(np.int64), len(MAKING) - 1)
    for rating, genre, degree, liked in zip(ratings, genres, degrees, likes, strict=True):
        name = GENRES[genre]
        first, second = generator.choice(GENRE_WORDS[name], size=2, replace=False)
        favourite = GENRES[generator.choice(np.flatnonzero(liked))]
        yield (
            f"{OPINIONS[rating - 1]}. A {name} film with {first.lower()} and {second.lower()}, "
            f"{MAKING[degree]}. I like {favourite} films."
        )

"""Invented film titles whose words tell the genre and shift the quality."""

import numpy as np

GENRE_WORDS: dict[str, tuple[str, ...]] = {
    "crime": ("Heist", "Detective", "Gangster", "Murder", "Police", "Thief", "Witness", "Robbery"),
    "space": ("Galaxy", "Spaceship", "Robot", "Planet", "Comet", "Alien", "Astronaut", "Rocket"),
    "romance": ("Kiss", "Wedding", "Valentine", "Sweetheart", "Bride", "Romance", "Lover", "Heart"),
    "horror": ("Ghost", "Vampire", "Grave", "Nightmare", "Demon", "Monster", "Witch", "Zombie"),
}
GENRES = tuple(GENRE_WORDS)
QUALITY_WORDS = (
    *("Golden", "Silent", "Broken", "Hidden", "Lost", "Final"),
    *("Secret", "Frozen", "Burning", "Lonely", "Wicked", "Royal"),
)
FIRST_YEAR, LAST_YEAR = 1950, 2009
MOST_TITLES = 10_000
"""well below the number of combinations, whatever the genres and adjectives drawn"""


def invent_titles(
    genres: np.ndarray[tuple[int], np.dtype[np.int64]],
    qualities: np.ndarray[tuple[int], np.dtype[np.int64]],
    generator: np.random.Generator,
) -> list[str]:
    """Return one distinct title per item, such as `The Silent Heist (1994)`.

    Parameters
    ----------
    genres
        [I] index into `GENRES`, told by the noun
    qualities
        [I] index into `QUALITY_WORDS`, the adjective
    generator
        chooses among the nouns of the genre and the years
    """
    titles: dict[str, None] = {}
    for genre, quality in zip(genres, qualities, strict=True):
        title = ""
        while not title or title in titles:
            nouns = GENRE_WORDS[GENRES[genre]]
            noun = nouns[generator.integers(len(nouns))]
            year = generator.integers(FIRST_YEAR, LAST_YEAR + 1)
            title = f"The {QUALITY_WORDS[quality]} {noun} ({year})"
        titles[title] = None
    return list(titles)

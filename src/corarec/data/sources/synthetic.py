"""A made world whose truth is known: what titles show, what only interactions show, and noise."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from corarec.data.raw import RawData, SourceFacts
from corarec.data.sources.base import Source
from corarec.data.sources.synthetic_reviews import invent_reviews
from corarec.data.sources.synthetic_titles import (
    GENRES,
    MOST_TITLES,
    QUALITY_WORDS,
    invent_titles,
)
from corarec.data.storage import SPLITS, SplitType
from corarec.errors import ConfigError
from corarec.types import FloatArray, IntArray

START = 1_577_836_800
"""2020-01-01, the first second of the world"""
DURATION = 2 * 365 * 86_400
SPLIT_ENDS = (0.8, 0.9)
"""train and valid end after these shares of the time; cold users and items come after the first"""
RATING_STEPS = (-2.0, -1.0, 0.0, 1.5)
"""utilities at which the rating rises from 1 to 2, 3, 4, 5; a rating of 4 is enjoyment"""
LIKED_GENRES = 2
LARGEST_EXPONENT = 700.0
"""e to this is still a number"""
TASTE_SCALE = 1.0
QUALITY_SCALE = 1.5
FACTOR_SCALE = 1.25
BIAS_SCALE = 0.6


class Synthetic(Source):
    """The knobs of the world.

    The log-odds that user u enjoys item i are `(text_strength t + collaborative_strength c) /
    noise` with `t` = taste of u for the genre of i + quality of the adjective of i, both told by
    titles, and `c` = product of hidden factors of u and i + bias of u + bias of i, told by
    interactions only. Items are met at random, whatever they are, unless users are choosy.
    """

    num_users: int = Field(default=600, ge=10, le=1_000_000)
    """users"""
    num_items: int = Field(default=400, ge=20, le=MOST_TITLES)
    """items"""
    interactions_per_user: int = Field(default=40, ge=5, le=MOST_TITLES)
    """ratings of each user, all of different items"""
    text_strength: float = Field(default=1.0, ge=0, le=1_000)
    """weight of what titles tell; 0: titles tell nothing"""
    collaborative_strength: float = Field(default=1.0, ge=0, le=1_000)
    """weight of what only interactions tell; 0: nothing that titles do not tell"""
    noise: float = Field(default=1.0, ge=1e-3, le=1e6)
    """divides the log-odds: below 1 the world is more certain, above 1 less"""
    num_factors: int = Field(default=2, ge=1, le=1_000)
    """hidden factors of users and items"""
    cold_users: float = Field(default=0.05, ge=0, lt=1)
    """share of the users that come after train"""
    cold_items: float = Field(default=0.2, ge=0, lt=1)
    """share of the items that come after train"""
    choosiness: float = Field(default=0.0, ge=0, le=100)
    """users meet items in proportion to the odds of enjoying them to this power; 0: at random"""
    reviews: bool = False
    """write a review with every interaction, which tells rating, genre, quality and a liked genre;
    nothing else of the world changes"""
    seed: int = Field(default=0, ge=0)
    """of everything"""

    def load(self, path: Path | None) -> tuple[RawData, dict[str, str]]:
        """Make the world; there is no input."""
        if path is not None:
            raise ConfigError(f"The synthetic source reads nothing; leave out the input {path}.")
        return synthetic_world(self), {}


@dataclass(frozen=True)
class _Truth:
    """The log-odds by (user, item), and what they are made of."""

    log_odds: FloatArray
    """[U, I]"""
    item_genres: IntArray
    """[I]"""
    item_qualities: IntArray
    """[I] index of the adjective"""
    quality_ranks: IntArray
    """[Q] place of each adjective's quality among all, 0 for the lowest"""
    likes: npt.NDArray[np.bool_]
    """[U, G] whether the user likes the genre"""


def synthetic_world(config: Synthetic) -> RawData:
    """Make a world: interactions with their true probability, titled items, users.

    Raises
    ------
    ConfigError
        There are too few items for so many interactions per user.
    """
    num_old = config.num_items - round(config.num_items * config.cold_items)
    if config.interactions_per_user > num_old:
        raise ConfigError(
            f"{config.interactions_per_user} interactions per user need as many items, but only "
            f"{num_old} of the {config.num_items} are there from the start. Set num_items higher, "
            "or interactions_per_user or cold_items lower."
        )
    generator = np.random.default_rng(config.seed)
    truth = _draw_truth(config, generator)
    titles = invent_titles(truth.item_genres, truth.item_qualities, generator)
    users, items, times = _draw_interactions(config, truth.log_odds, num_old, generator)
    log_odds = truth.log_odds[users, items]
    utility = log_odds + generator.logistic(size=len(log_odds))
    ratings = 1 + np.searchsorted(RATING_STEPS, utility)
    texts = {"text": _reviews(config, truth, users, items, ratings)} if config.reviews else {}
    interactions = pl.LazyFrame(
        {
            "row": np.arange(1, len(users) + 1),
            "user": pl.Series(users + 1).cast(pl.String),
            "item": pl.Series(items + 1).cast(pl.String),
            "rating": ratings.astype(np.float32),
            "timestamp": START + (times * DURATION).astype(np.int64),
            "split": pl.Series(
                [SPLITS[number] for number in np.searchsorted(SPLIT_ENDS, times)]
            ).cast(SplitType),
            "true_probability": 1 / (1 + np.exp(np.minimum(-log_odds, LARGEST_EXPONENT))),
            **texts,
        }
    )
    place = Path("the synthetic world")
    return RawData(
        facts=SourceFacts("synthetic", "Made by corarec; free to use.", "movie", "movies"),
        interactions=interactions,
        items=pl.DataFrame(
            {
                "item": pl.Series(np.arange(1, config.num_items + 1)).cast(pl.String),
                "title": titles,
                "genre": [GENRES[genre] for genre in truth.item_genres],
            }
        ),
        users=pl.DataFrame(
            {
                "user": pl.Series(np.arange(1, config.num_users + 1)).cast(pl.String),
                "liked_genres": ["|".join(np.array(GENRES)[likes]) for likes in truth.likes],
            }
        ),
        interactions_file=place,
        items_file=place,
    )


def _draw_truth(config: Synthetic, generator: np.random.Generator) -> _Truth:
    item_genres = generator.integers(len(GENRES), size=config.num_items)
    item_qualities = generator.integers(len(QUALITY_WORDS), size=config.num_items)
    ranks = generator.random((config.num_users, len(GENRES))).argsort(axis=1)
    likes = ranks < LIKED_GENRES
    taste = (likes - LIKED_GENRES / len(GENRES)) * 2 * TASTE_SCALE
    # Evenly spread, so that small worlds have good and bad words, too.
    quality = generator.permutation(np.linspace(-1.5, 1.5, len(QUALITY_WORDS))) * QUALITY_SCALE
    text = taste[:, item_genres] + quality[item_qualities]

    user_factors = _directions(config.num_users, config.num_factors, generator)
    item_factors = _directions(config.num_items, config.num_factors, generator)
    user_biases = generator.normal(scale=BIAS_SCALE, size=(config.num_users, 1))
    item_biases = generator.normal(scale=BIAS_SCALE, size=(1, config.num_items))
    products = np.sqrt(config.num_factors) * (user_factors @ item_factors.T)
    hidden = FACTOR_SCALE * products + user_biases + item_biases
    log_odds = (config.text_strength * text + config.collaborative_strength * hidden) / config.noise
    return _Truth(log_odds, item_genres, item_qualities, quality.argsort().argsort(), likes)


def _meet(
    items: IntArray, count: int, weights: FloatArray, generator: np.random.Generator
) -> IntArray:
    """Draw so many of the items, each in proportion to e to its weight among all: [count]."""
    if not weights.any():
        return generator.choice(items, size=count, replace=False)
    # The largest of weights with Gumbel noise are such a draw, and never run out.
    return items[(weights[items] + generator.gumbel(size=len(items))).argsort()[::-1][:count]]


def _reviews(
    config: Synthetic, truth: _Truth, users: IntArray, items: IntArray, ratings: IntArray
) -> list[str]:
    ranks = truth.quality_ranks[truth.item_qualities[items]]
    return invent_reviews(
        ratings,
        truth.item_genres[items],
        ranks / (len(QUALITY_WORDS) - 1),
        truth.likes[users],
        # A generator of their own, so that the world is the same without them.
        np.random.default_rng((config.seed, len(users))),
    )


def _directions(count: int, size: int, generator: np.random.Generator) -> FloatArray:
    """Return random unit vectors: everybody has a hidden side, nobody is indifferent."""
    vectors = generator.normal(size=(count, size))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _draw_interactions(
    config: Synthetic, log_odds: FloatArray, num_old: int, generator: np.random.Generator
) -> tuple[IntArray, IntArray, FloatArray]:
    """Return who meets what and when, the time as a share of the world's: three of [N].

    The first users and items are there from the start, the last ones come after train.
    """
    num_old_users = config.num_users - round(config.num_users * config.cold_users)
    count = config.interactions_per_user
    times = np.sort(generator.random((config.num_users, count)), axis=1)
    times[num_old_users:] = SPLIT_ENDS[0] + (1 - SPLIT_ENDS[0]) * times[num_old_users:]
    items = np.empty((config.num_users, count), dtype=np.int64)
    for user in range(config.num_users):
        early = int((times[user] <= SPLIT_ENDS[0]).sum())
        items[user, :early] = _meet(
            np.arange(num_old), early, config.choosiness * log_odds[user], generator
        )
        unseen = np.setdiff1d(np.arange(config.num_items), items[user, :early])
        items[user, early:] = _meet(
            unseen, count - early, config.choosiness * log_odds[user], generator
        )
    users = np.repeat(np.arange(config.num_users), count)
    return users, items.ravel(), times.ravel()

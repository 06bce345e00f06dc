"""The few types that cross rooms.

Shapes, everywhere in this package: `N` pairs in a table, `B` pairs in a batch, `T` tokens,
`H` hidden size of the language model, `r` rank, `d` size of a collaborative-filtering (CF)
vector, `k` queries of the generator, `O` output size of an adapted layer, `P` liked
interactions of all users together.

Ids, everywhere: users are 1..U, items are 1..I, and 0 stands for unknown or padding.
Times are UTC seconds. Labels are 1 (the user enjoyed the item) or 0.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from corarec.errors import ConfigError, did_you_mean

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

PADDING_ID = 0


class Config(BaseModel):
    """Base of every config: immutable, an unknown key is an error, a default is validated."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False
    )

    @model_validator(mode="wrap")
    @classmethod
    def _name_the_known_keys(cls, values: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return validate(values)
        except ValidationError as error:
            mistakes = error.errors(include_url=False)
            if not any(map(_is_unknown_key, mistakes)):
                raise
            explained = [cls._explained(mistake) for mistake in mistakes]
            raise ValidationError.from_exception_data(cls.__name__, explained) from None

    @classmethod
    def _explained(cls, mistake: ErrorDetails) -> InitErrorDetails:
        """Return a mistake again; if a key of this config is unknown it says which there are."""
        words = mistake["msg"]
        if _is_unknown_key(mistake):
            hint = did_you_mean(str(mistake["loc"][0]), cls.model_fields)
            known = f"Known: {', '.join(cls.model_fields) or 'none'}"
            words = " ".join(filter(None, [f"{words}.", hint, known]))
        kind = mistake["type"]
        error = PydanticCustomError(kind, words)
        return InitErrorDetails(type=error, loc=mistake["loc"], input=mistake["input"])

    @classmethod
    def parse(
        cls,
        values: Any,
        origin: str,
        place: Callable[[tuple[int | str, ...]], str] | None = None,
    ) -> Self:
        """Validate `values`; `origin` says in the error where they came from.

        `place` may tell it more closely for the location of one value, as pydantic gives it.

        Raises
        ------
        ConfigError
            Anything is unknown or out of bounds; all that is wrong is listed at once.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            mistakes = []
            for mistake in error.errors():
                key = ".".join(map(str, mistake["loc"])) or cls.__name__
                closer = place(mistake["loc"]) if place is not None else ""
                mistakes.append(f"  {key}: {mistake['msg']}" + (f" ({closer})" if closer else ""))
            noun = "mistake" if len(mistakes) == 1 else "mistakes"
            raise ConfigError(
                f"{origin} has {len(mistakes)} {noun}:\n" + "\n".join(mistakes)
            ) from None


def _is_unknown_key(mistake: ErrorDetails) -> bool:
    """Whether a mistake is about a key of the config itself, not of one inside it."""
    return mistake["type"] == "extra_forbidden" and len(mistake["loc"]) == 1


class Fingerprint(Config):
    """What tells one dataset from another: a SHA-256 digest of each thing it holds."""

    users: str
    """The source's ids of users 1..U."""
    items: str
    """The source's ids of items 1..I."""
    titles: str
    """The titles of items 1..I, and what an item is called in prompts."""
    train: str
    """The rows of the training split."""
    valid: str
    """The rows of the validation split."""
    interactions: str
    """All rows of all splits, in their order."""
    earlier: str = ""
    """The rows from before train, where the dataset keeps them."""

    def differences(self, other: "Fingerprint", names: Sequence[str] = ()) -> list[str]:
        """Return the names, of all or of those in `names`, in which two datasets differ."""
        return [
            name
            for name in names or type(self).model_fields
            if getattr(self, name) != getattr(other, name)
        ]


@dataclass(frozen=True)
class Histories:
    """The liked items before each pair, oldest first, without a copy per pair.

    Pair `n` sees `liked_items[start[n]:end[n]]`.
    """

    liked_items: IntArray
    """[P] item ids, the liked ones of one user after those of another, in time order."""
    start: IntArray
    """[N] first position of each pair's history."""
    end: IntArray
    """[N] one past the last position; equal to `start` where there is no history."""
    stars: FloatArray | None = None
    """[P] how many stars the user gave each of them, NaN for none; None: not known of any."""

    def __repr__(self) -> str:
        return f"Histories({len(self):,} pairs)"

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, n: int) -> IntArray:
        return self.liked_items[self.start[n] : self.end[n]]

    def take(self, rows: IntArray | slice) -> "Histories":
        """Keep the histories at `rows`, sharing the item array."""
        return replace(self, start=self.start[rows], end=self.end[rows])

    def lengths(self) -> IntArray:
        """Return how many liked items precede each pair: [N]."""
        return self.end - self.start

    def last(self, count: int) -> IntArray:
        """Return the last `count` items of each history: [N, count], zeros on the left."""
        positions = self.end[:, None] + np.arange(-count, 0)
        seen = positions >= self.start[:, None]
        items = np.zeros(positions.shape, dtype=np.int64)
        items[seen] = self.liked_items[positions[seen]]
        return items

    def last_stars(self, count: int) -> FloatArray:
        """Return the stars of what `last` returns: [N, count], NaN where there are none."""
        positions = self.end[:, None] + np.arange(-count, 0)
        stars = np.full(positions.shape, np.nan)
        if self.stars is not None:
            seen = positions >= self.start[:, None]
            stars[seen] = self.stars[positions[seen]]
        return stars

    def stars_of(self, n: int) -> FloatArray | None:
        """Return the stars of the history of pair `n`, beside its items."""
        return None if self.stars is None else self.stars[self.start[n] : self.end[n]]

    @classmethod
    def repeated(cls, items: IntArray, count: int, stars: FloatArray | None = None) -> "Histories":
        """Give `count` pairs the same history."""
        return cls(items, np.zeros(count, np.int64), np.full(count, len(items)), stars)

    @classmethod
    def from_lists(cls, histories: Sequence[Sequence[int]]) -> "Histories":
        """Build from one list of item ids per pair."""
        end = np.cumsum([len(history) for history in histories], dtype=np.int64)
        items = [item for history in histories for item in history]
        start = np.concatenate([np.zeros(1, dtype=np.int64), end[:-1]])[: len(end)]
        return cls(np.array(items, dtype=np.int64), start, end)


@dataclass(frozen=True)
class Pairs:
    """(user, item) pairs with what is known before each: all that a recommender may see."""

    user_ids: IntArray
    """[N]"""
    item_ids: IntArray
    """[N]"""
    histories: Histories
    rows: IntArray | None = None
    """[N] which row of the dataset each pair is; None for pairs that somebody asks about."""
    seen_by_cf: "Pairs | None" = None
    """[N] what CF vectors, codes and embeddings of ids are of, where the text is of other pairs."""
    times: IntArray | None = None
    """[N] the moment of each pair, UTC seconds; None: now, after all that is known."""
    known_until: IntArray | None = None
    """[N] labels of rows before this second may be known to each pair; None: all that there are."""
    disliked: Histories | None = None
    """[N] the items before each pair that the user did not like, cut off as `histories` are; None:
    nothing is known of them."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self):,} rows)"

    def __len__(self) -> int:
        return len(self.user_ids)

    def take(self, rows: IntArray | slice) -> Self:
        """Keep the pairs at `rows`."""
        return replace(
            self,
            user_ids=self.user_ids[rows],
            item_ids=self.item_ids[rows],
            histories=self.histories.take(rows),
            rows=None if self.rows is None else self.rows[rows],
            seen_by_cf=None if self.seen_by_cf is None else self.seen_by_cf.take(rows),
            times=None if self.times is None else self.times[rows],
            known_until=None if self.known_until is None else self.known_until[rows],
            disliked=None if self.disliked is None else self.disliked.take(rows),
        )

    @property
    def for_cf(self) -> "Pairs":
        """What the collaborative side of a system reads: these pairs, as a rule."""
        return self if self.seen_by_cf is None else self.seen_by_cf


@dataclass(frozen=True)
class Log:
    """Rows that happened, with their labels: what may be known before a moment."""

    user_ids: IntArray
    """[N]"""
    item_ids: IntArray
    """[N]"""
    labels: IntArray
    """[N] 0 or 1"""
    times: IntArray
    """[N] UTC seconds, in any order"""
    stars: FloatArray
    """[N] the ratings, NaN where the source has none"""

    def __repr__(self) -> str:
        return f"Log({len(self):,} rows)"

    def __len__(self) -> int:
        return len(self.user_ids)

    def take(self, rows: IntArray) -> "Log":
        """Keep some of the rows."""
        return Log(
            self.user_ids[rows],
            self.item_ids[rows],
            self.labels[rows],
            self.times[rows],
            self.stars[rows],
        )

    def joined(self, other: "Log") -> "Log":
        """Return these rows and then those of another."""
        return Log(
            np.concatenate([self.user_ids, other.user_ids]),
            np.concatenate([self.item_ids, other.item_ids]),
            np.concatenate([self.labels, other.labels]),
            np.concatenate([self.times, other.times]),
            np.concatenate([self.stars, other.stars]),
        )


@dataclass(frozen=True)
class ScoreTable:
    """Scores beside the truth: all that the evaluator sees."""

    user_ids: IntArray
    """[N]"""
    item_ids: IntArray
    """[N]"""
    labels: IntArray
    """[N] 0 or 1"""
    warm: BoolArray
    """[N] true where both the user and the item occur in the training data."""
    scores: FloatArray
    """[N] any real number, larger for more likely to enjoy."""
    logits: bool = True
    """Whether the sigmoid of a score is a probability; else only the order of scores counts."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self):,} rows)"

    def __len__(self) -> int:
        return len(self.user_ids)

    def take(self, rows: BoolArray | IntArray) -> "ScoreTable":
        """Keep the rows in `rows` (a mask or indices)."""
        return ScoreTable(
            self.user_ids[rows],
            self.item_ids[rows],
            self.labels[rows],
            self.warm[rows],
            self.scores[rows],
            self.logits,
        )

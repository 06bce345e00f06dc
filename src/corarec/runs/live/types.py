"""What goes in and comes out of a run in live use, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from corarec.types import BoolArray, FloatArray, IntArray

Kind = Literal["like", "dislike", "seen"]
KINDS: tuple[str, ...] = get_args(Kind)
LABELS = {"like": 1, "dislike": 0}
ASKED = tuple[str, str] | tuple[str, tuple[str, str]]
"""A user, and an item or ("title", the title of one that is not added)."""


@dataclass(frozen=True)
class Limits:
    """How much a service keeps; beyond it refuses."""

    events: int = 5_000_000
    events_per_user: int = 10_000
    items: int = 200_000
    title_chars: int = 2_000


@dataclass(frozen=True)
class Told:
    """One thing that somebody told the service."""

    item: int
    kind: Kind
    time: int
    stars: float | None
    order: int
    """Of arrival."""

    @property
    def key(self) -> tuple[int, Kind, int]:
        """What makes it the very same event."""
        return self.item, self.kind, self.time


@dataclass(frozen=True)
class UserRows:
    """All that is known of one user, in the order of time, then of arrival."""

    items: IntArray
    """[n]"""
    labels: IntArray
    """[n] 0 or 1"""
    times: IntArray
    """[n] UTC seconds; of rows without a time the first second there is"""
    stars: FloatArray
    """[n] NaN for none"""
    fitted: BoolArray
    """[n] part of the fit of the CF model"""
    current: BoolArray
    """[n] still hold"""

    def items_before(self, label: int, moment: int) -> IntArray:
        """Return the items of one label before a moment, oldest first."""
        return self.items[self._before(label, moment)]

    def stars_before(self, label: int, moment: int) -> FloatArray:
        """Return the stars of what `items_before` returns, NaN for none."""
        return self.stars[self._before(label, moment)]

    def _before(self, label: int, moment: int) -> BoolArray:
        return self.current & (self.labels == label) & (self.times < moment)


@dataclass(frozen=True)
class Item:
    """An item as a service knows it."""

    item: str
    title: str
    added: bool
    """After the dataset was made."""
    removed: bool
    """Not offered any more."""
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Hit:
    """An item that a search found."""

    item: str
    title: str
    match: float
    """0 to 100"""
    added: bool


@dataclass(frozen=True)
class Filters:
    """Which items may be recommended."""

    where: Mapping[str, Any] = field(default_factory=dict)
    """Column of the items' metadata -> a value, or several of which one must fit; where a column
    holds several values (a list, or a text parted by `|` or `,`) one of them must."""
    year_from: int | None = None
    year_to: int | None = None
    """Years, from the column `year` or the end of the title; items without one do not fit."""
    unseen: bool = True
    """Leave out what the person had anything to do with."""
    added_only: bool = False
    """Only items that were added since the dataset was made."""


@dataclass(frozen=True)
class Event:
    """Something known of a user."""

    item: str | None
    title: str
    kind: Kind
    time: int | None
    """UTC seconds; None where the dataset has none."""
    stars: float | None
    live: bool
    """Told since the dataset was made."""


@dataclass(frozen=True)
class Known:
    """All that is known of a user."""

    user: str
    in_dataset: bool
    cold: bool
    """CF knows nothing of the user."""
    events: list[Event]
    """The newest first."""


@dataclass(frozen=True)
class Scored:
    """The answer for one pair."""

    user: str
    item: str | None
    title: str
    probability: float
    score: float
    """The logit."""
    cold_user: bool
    """CF knows nothing of the user."""
    cold_item: bool


@dataclass(frozen=True)
class Ranked:
    """An item in its place."""

    rank: int
    item: str | None
    title: str
    probability: float
    score: float
    candidate_rank: int | None
    """Its place in CF's order; None where CF does not know the item."""
    cold: bool
    """CF knows nothing of the item."""
    new: bool
    """Added since the dataset was made."""

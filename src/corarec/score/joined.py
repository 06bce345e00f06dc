"""An order of items by several parts at once, with weights that were learned on validation."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Len
from pydantic import AfterValidator, Field
from scipy.stats import rankdata

from corarec.cf import VectorSource
from corarec.data import Catalogue
from corarec.errors import TrainingError
from corarec.score.context import Context
from corarec.types import Config, FloatArray, IntArray

CF, POPULARITY, RECENT, NEW, SYSTEM = "cf", "popularity", "recent", "new", "system"
LAST = {"cf-last-1": 1, "cf-last-3": 3, "cf-last-10": 10}
"""Parts that ask a CF model which reads histories about so many of the likes, the last ones."""
PARTS = {
    CF: "its CF model",
    **{
        name: f"its CF model on the last {'like' if count == 1 else f'{count} likes'}"
        for name, count in LAST.items()
    },
    POPULARITY: "popularity",
    RECENT: "recent popularity",
    NEW: "being new",
    SYSTEM: "the system",
}
"""What an order can be made of, and what it is called."""
Group = Literal["with history", "without history"]
HISTORY: Group = "with history"
NO_HISTORY: Group = "without history"


def _known(weights: dict[str, float]) -> dict[str, float]:
    if strange := sorted(set(weights) - PARTS.keys()):
        raise ValueError(
            f"{strange[0]!r:.40} is no part of an order; wanted are {', '.join(PARTS)}"
        )
    return weights


Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Weights = Annotated[dict[str, Weight], AfterValidator(_known)]


class GroupOrder(Config):
    """How items are put in order for users with a history, or for those without one."""

    users: int = Field(ge=0)
    """Of the group, on validation, who like something there."""
    learned_from: int = Field(ge=0)
    """Users that the weights were learned from: all, where the group has too few of its own."""
    chosen: str
    """Which of the orders below it is."""
    first: Weights
    """Of the parts that pick candidates from the whole catalogue."""
    then: Weights
    """Of the parts that put the candidates in order."""
    validation: dict[str, float]
    """NDCG on validation of every order that could be chosen, the learned ones on users whom their
    weights were not learned from."""

    @property
    def parts(self) -> set[str]:
        """Which parts have a say."""
        return {part for weights in (self.first, self.then) for part in weights if weights[part]}


class JoinedRanking(Config):
    """What `corarec learn-ranking` found, as a run folder keeps it."""

    weights_digest: str
    """Of the system's weights that it was learned with."""
    candidates: int = Field(ge=1)
    """How many the system put in order."""
    cutoff: int = Field(ge=1)
    """The K of the NDCG that chose."""
    groups: Annotated[dict[Group, GroupOrder], Len(2, 2)]
    """By whether a user has a history."""
    provenance: dict[str, Any] = Field(default_factory=dict)

    def of(self, context: Context) -> GroupOrder:
        """Return how items are put in order for a person."""
        return self.groups[group_of(context)]

    def words(self, context: Context) -> str:
        """Say what an order is made of."""
        group = self.of(context)
        parts = [name for name in PARTS if name in group.parts]
        joined = " and ".join(PARTS[name] for name in parts) or PARTS[POPULARITY]
        return f"{joined}, as learned on validation for people {group_of(context)}"


def group_of(context: Context) -> Group:
    """Return whose order a person gets."""
    return HISTORY if len(context.liked) else NO_HISTORY


@dataclass(frozen=True)
class Signals:
    """What several parts say of the items of one person, each as an order.

    A part says minus the logarithm of an item's place in its order (of equals the mean place), so
    parts of any scale can be added, and one to whom all items are equal adds nothing.
    """

    items: IntArray
    """[N] by popularity, then by id: the order among equals"""
    values: Mapping[str, FloatArray]
    """[N] by part"""

    def order(self, weights: Mapping[str, float]) -> IntArray:
        """Return the places of the items, the best first: [N]."""
        return np.argsort(-self.sum(weights), kind="stable")

    def sum(self, weights: Mapping[str, float]) -> FloatArray:
        """Return the weighted sum of the parts: [N]; what is not there counts nothing."""
        total = np.zeros(len(self.items))
        for name, weight in weights.items():
            if weight and name in self.values:
                total += weight * self.values[name]
        return total

    def of_candidates(self, picked: IntArray, scores: FloatArray) -> "Signals":
        """Return items at some places, ascending, with what the system says of them.

        `scores: [C]` are those of the places `picked: [C]`, in the order of these.
        """
        order = np.argsort(picked)
        places = picked[order]
        values = {name: each[places] for name, each in self.values.items()}
        return Signals(self.items[places], {**values, SYSTEM: place_signal(scores[order])})


def joined_order(
    said: Signals, picked: IntArray, scores: FloatArray, weights: Mapping[str, float]
) -> IntArray:
    """Return the order of the candidates at `picked: [C]`, the best first: [C]."""
    return np.argsort(picked)[said.of_candidates(picked, scores).order(weights)]


def signals(
    cf: VectorSource | None,
    catalogue: Catalogue,
    context: Context,
    items: IntArray,
    parts: Collection[str] = (CF,),
) -> Signals:
    """Return what popularity and, of the `parts`, a CF model say of items to a person.

    Raises
    ------
    TrainingError
        The CF model gave a score that is no number.
    """
    items = items[np.lexsort((items, -catalogue.popularity[items]))]
    popularity = catalogue.popularity[items]
    values = {
        POPULARITY: place_signal(popularity),
        RECENT: place_signal(catalogue.recent[items]),
        NEW: (popularity == 0).astype(np.float64),
    }
    if cf is None:
        return Signals(items, values)
    found: dict[int, FloatArray] = {}
    for part in (CF, *LAST):
        if part not in parts:
            continue
        liked = len(context.liked)
        count = min(LAST.get(part, liked), liked)
        if count not in found:
            found[count] = place_signal(_scores(cf, context, count, items))
        values[part] = found[count]
    return Signals(items, values)


def _scores(cf: VectorSource, context: Context, count: int, items: IntArray) -> FloatArray:
    """Return the CF model's scores for a person of whom only the last `count` likes are known."""
    if count < len(context.liked):
        context = Context(context.user_id, context.liked[len(context.liked) - count :])
    scores = cf.score(context.pairs(items))
    if np.isnan(scores).any():
        raise TrainingError(
            f"The CF model '{cf.name}' gave {np.count_nonzero(np.isnan(scores))} scores that "
            f"are no numbers, the first to item {items[np.isnan(scores)][0]}. Fit it again."
        )
    return scores


def place_signal(scores: Sequence[float] | np.ndarray) -> FloatArray:
    """Return minus the logarithm of each score's place, the largest first: [N], 0 where equal."""
    if not len(scores) or np.min(scores) == np.max(scores):
        return np.zeros(len(scores))
    return np.asarray(-np.log(rankdata(-np.asarray(scores, dtype=np.float64))))

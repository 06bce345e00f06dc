"""Why this item? How the answer for one pair moves when one thing is left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from scipy.special import expit

from corarec.data import Catalogue
from corarec.score.batches import PairSystem
from corarec.score.context import Context
from corarec.score.scorer import Scorer
from corarec.types import FloatArray, Histories, Pairs

Part = Literal["user", "item", "user-and-item", "liked-title", "adapter"]
"""What can be left out: what CF knows of the user, of the item and of both, so that text is left
alone; one title of the history; the increment, so that the plain frozen model is left."""

_SCHEMA = {
    "without": pl.String,
    "title": pl.String,
    "place": pl.Int64,
    "probability": pl.Float64,
    "logit": pl.Float64,
    "effect_probability": pl.Float64,
    "effect_logit": pl.Float64,
}
_REASONS: dict[Part, str] = {
    "user": "It reads the same of an unknown user: text and no more, or this user is new to it.",
    "item": "It reads the same of an unknown item: a title and no more, or this item is new to it.",
    "user-and-item": "It reads nothing but text here.",
    "liked-title": "The prompt shows no liked title.",
    "adapter": "It has no increment that can be switched off for a single prompt.",
}
_NAMES: dict[Part, str] = {
    "user": "what CF knows of the user",
    "item": "what CF knows of the item",
    "user-and-item": "all that CF knows: text alone",
    "liked-title": "liked titles",
    "adapter": "the increment: the frozen model alone",
}


def part_name(part: Part, title: str | None = None) -> str:
    """Return what was left out in words; of a liked title say which."""
    return _NAMES[part] if title is None else f'liked title "{title}"'


@dataclass(frozen=True)
class Explanation:
    """The answer for one pair, and what leaving things out does to it.

    An effect is the difference between the answer with everything and the answer without one thing:
    positive where that thing speaks for the item. Each is measured with all else in its place, so
    effects do not add up; and they tell what the system answers to other input, not what causes a
    person to like something.
    """

    item: str | None
    """Raw id; None for a new item."""
    title: str
    probability: float
    """With everything."""
    logit: float
    """With everything."""
    num_liked: int
    """Items that the person is known to like."""
    num_shown: int
    """Titles of them that stand in the prompt, the last ones."""
    effects: pl.DataFrame
    """Largest effect first: without (a `Part`), title and place (of a liked title, 1 for the first
    in the prompt), probability and logit without it, effect_probability and effect_logit."""
    not_applicable: dict[Part, str]
    """Parts that have no row, and why."""

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values, for JSON."""
        left_out = [
            {"without": part, "reason": reason} for part, reason in self.not_applicable.items()
        ]
        return {
            "item": self.item,
            "title": self.title,
            "probability": self.probability,
            "logit": self.logit,
            "num_liked": self.num_liked,
            "num_shown": self.num_shown,
            "effects": self.effects.to_dicts(),
            "not_applicable": left_out,
        }


def from_dict(told: dict[str, Any]) -> Explanation:
    """Return the explanation whose `to_dict` this is."""
    names = ("item", "title", "probability", "logit", "num_liked", "num_shown")
    return Explanation(
        **{name: told[name] for name in names},
        effects=pl.DataFrame(told["effects"], schema=_SCHEMA),
        not_applicable={each["without"]: each["reason"] for each in told["not_applicable"]},
    )


def explain(
    scorer: Scorer,
    catalogue: Catalogue,
    context: Context,
    item_id: int,
    *,
    num_shown: int,
    new_titles: Sequence[str] = (),
    frozen: PairSystem | None = None,
) -> Explanation:
    """Score a pair as it is and without one thing after the other, all in one batch.

    The system is not changed: each variant is a pair of its own, so threads may share the scorer.

    Parameters
    ----------
    num_shown
        How many titles of the history stand in the pair's prompt.
    new_titles
        As in `Scorer.score`.
    frozen
        Answers the same prompts without the increment.
    """
    shown = context.liked[len(context.liked) - num_shown :]
    parts, pairs = _variants(context, item_id, num_shown)
    rows = np.array(_that_differ(scorer.system, pairs, new_titles))
    logits = scorer.score(pairs.take(rows), new_titles=new_titles)
    found = [parts[row] for row in rows[1:]]
    if frozen is not None:
        whole = pairs.take(np.zeros(1, np.int64))
        logits = np.append(logits, Scorer(frozen).score(whole, new_titles=new_titles))
        found.append(("adapter", None))
    there = {part for part, _ in found}
    new = item_id > catalogue.num_items
    titles = [catalogue.titles[item] for item in shown.tolist()]
    return Explanation(
        item=None if new else catalogue.vocabulary.raw(np.array([item_id]))[0],
        title=new_titles[item_id - catalogue.num_items - 1] if new else catalogue.titles[item_id],
        probability=float(expit(logits[0])),
        logit=float(logits[0]),
        num_liked=len(context.liked),
        num_shown=num_shown,
        effects=_effects(found, titles, logits),
        not_applicable={part: why for part, why in _REASONS.items() if part not in there},
    )


def _variants(
    context: Context, item_id: int, num_shown: int
) -> tuple[list[tuple[Part | None, int | None]], Pairs]:
    """Return what each pair lacks, and the pairs; the first lacks nothing, three lack CF."""
    parts: list[tuple[Part | None, int | None]] = [
        (None, None),
        ("user", None),
        ("item", None),
        ("user-and-item", None),
    ]
    parts += [("liked-title", place) for place in range(num_shown)]
    count = len(parts)
    user_ids, item_ids = np.full(count, context.user_id), np.full(count, item_id)
    # One list after the other: that of each variant lacks no title, or one of those shown.
    shown = np.arange(len(context.liked) - num_shown, len(context.liked))
    texts = [shown if place is None else np.delete(shown, place) for _, place in parts]
    ends = np.cumsum([len(text) for text in texts])
    liked = np.concatenate(texts)
    stars = None if context.liked_stars is None else context.liked_stars[liked]
    no_user = np.array([part in ("user", "user-and-item") for part, _ in parts])
    no_item = np.array([part in ("item", "user-and-item") for part, _ in parts])
    # To CF the history is that of the person whatever the prompt shows of it.
    known = np.where(no_user, 0, len(context.liked))
    seen_by_cf = Pairs(
        np.where(no_user, 0, user_ids),
        np.where(no_item, 0, item_ids),
        Histories(context.liked, np.zeros(count, np.int64), known),
    )
    return parts, Pairs(
        user_ids,
        item_ids,
        Histories(context.liked[liked], np.concatenate([[0], ends[:-1]]), ends, stars),
        seen_by_cf=seen_by_cf,
        disliked=Histories.repeated(context.disliked, count, context.disliked_stars),
    )


def _that_differ(system: PairSystem, pairs: Pairs, new_titles: Sequence[str]) -> list[int]:
    """Return the rows that read otherwise than the first, after the first itself."""
    batch = system.inputs(pairs, new_titles).batch(np.arange(len(pairs)))
    return [0] + [
        row
        for row in range(1, len(pairs))
        if not all(torch.equal(values[row], values[0]) for values in batch.values())
    ]


def _effects(
    parts: Sequence[tuple[Part | None, int | None]], titles: Sequence[str], logits: FloatArray
) -> pl.DataFrame:
    """Return a row for each part, `logits: [1 + N]` beginning with that of the whole."""
    probabilities = expit(logits)
    table = pl.DataFrame(
        {
            "without": [part for part, _ in parts],
            "title": [None if place is None else titles[place] for _, place in parts],
            "place": [None if place is None else place + 1 for _, place in parts],
            "probability": probabilities[1:],
            "logit": logits[1:],
            "effect_probability": probabilities[0] - probabilities[1:],
            "effect_logit": logits[0] - logits[1:],
        },
        schema=_SCHEMA,
    )
    return table.sort(pl.col("effect_logit").abs(), descending=True, maintain_order=True)

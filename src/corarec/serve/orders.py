"""What only the page asks of the scoring thread: other orders of the same candidates."""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit

from corarec.score.context import Context
from corarec.score.scorer import Scorer
from corarec.serve.engine import Engine
from corarec.serve.jobs import Ask, Call, Work
from corarec.serve.schemas import RecommendRequest
from corarec.serve.work import candidates_of, context_of
from corarec.types import FloatArray, IntArray

SLICE = 16
"""Pairs that are scored in one step, so that others have their turn."""


class Beside(NamedTuple):
    """The same candidates in two orders."""

    ours: list[dict[str, Any]]
    """The best by the run's system, the best first."""
    other: list[dict[str, Any]] | None
    """The best by the frozen language model; None where the system has none to be asked alone."""


def popular(engine: Engine, count: int) -> Work:
    """Return items for somebody of whom nothing is known, as CF chooses them."""
    return (yield Call(partial(_popular, engine, count)))


def beside_text(engine: Engine, request: RecommendRequest) -> Work:
    """Return `Beside`: the run's own order, and that of the text alone."""
    live = engine.live
    context = context_of(engine, request)
    chosen, places = candidates_of(engine, request, context)
    ours: FloatArray = yield Ask([(context, chosen)])
    frozen = live.run.recommender.frozen()
    if frozen is None:
        return Beside(_best(engine, request.k, chosen, places, ours, None, by=ours), None)
    text = np.empty(len(chosen))
    scorer = Scorer(frozen)
    for at in _slices(len(chosen)):
        text[at] = yield Call(partial(_scores, engine, scorer, context, chosen[at]))
    return Beside(
        _best(engine, request.k, chosen, places, ours, text, by=ours),
        _best(engine, request.k, chosen, places, ours, text, by=text),
    )


def _popular(engine: Engine, count: int) -> list[dict[str, Any]]:
    live = engine.live
    chosen, _ = live.candidates(live.context(None), count=count)
    return [{"item": live.raw(number), "title": live.title(number)} for number in chosen.tolist()]


def _slices(count: int) -> Iterator[slice]:
    return (slice(first, first + SLICE) for first in range(0, count, SLICE))


def _scores(engine: Engine, scorer: Scorer, context: Context, items: IntArray) -> FloatArray:
    live = engine.live
    return scorer.score(live.join([(context, items)]), new_titles=live.new_titles)


def _best(
    engine: Engine,
    count: int,
    chosen: IntArray,
    places: IntArray,
    ours: FloatArray,
    text: FloatArray | None,
    *,
    by: FloatArray,
) -> list[dict[str, Any]]:
    live = engine.live
    our_ranks = _ranks(ours)
    text_ranks = None if text is None else _ranks(text)
    return [
        {
            "item": live.raw(int(chosen[row])),
            "title": live.title(int(chosen[row])),
            "rank": int(our_ranks[row]),
            "probability": float(expit(ours[row])),
            "candidate_rank": int(places[row]) or None,
            "text_rank": None if text_ranks is None else int(text_ranks[row]),
            "text_probability": None if text is None else float(expit(text[row])),
        }
        for row in np.argsort(-by, kind="stable")[:count].tolist()
    ]


def _ranks(scores: FloatArray) -> IntArray:
    ranks = np.empty(len(scores), dtype=np.int64)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return ranks

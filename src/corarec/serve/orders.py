"""What only the page asks of the scoring thread: other orders for the same person, and reasons."""

from collections.abc import Callable, Generator, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit

from corarec.score.context import Context
from corarec.score.scorer import Scorer
from corarec.serve import work
from corarec.serve.engine import Engine
from corarec.serve.jobs import Ask, Call, Work
from corarec.serve.schemas import RankRequest, RecommendRequest
from corarec.serve.work import candidates_of, context_of
from corarec.types import FloatArray, IntArray

SLICE = 16
"""Pairs that are scored in one step, so that others have their turn."""


class Beside(NamedTuple):
    """Two lists for one person."""

    ours: list[dict[str, Any]]
    """What the run answers, the best first."""
    other: list[dict[str, Any]] | None
    """What is put beside it; None where the system has no increment to be switched off."""


class _Order(NamedTuple):
    """Scored candidates."""

    items: IntArray
    """[N]"""
    places: IntArray
    """[N] ranks by CF; 0 where it knows nothing of the item"""
    scores: FloatArray
    """[N]"""
    best: IntArray
    """[N] places of the items in order, the best first"""


def popular(engine: Engine, count: int) -> Work:
    """Return items for somebody of whom nothing is known, as CF chooses them."""
    return (yield Call(partial(_popular, engine, count)))


def why(engine: Engine, item: str, request: RankRequest, by: Engine | None = None) -> Work:
    """Return how an answer, that `by` another run, moves when one thing is left out at a time."""
    live = (by or engine).live
    likes, dislikes = request.liked or (), request.disliked
    explain = partial(live.explain, request.user, item, liked=likes, disliked=dislikes)
    return (yield Call(explain, work.explained_pairs)).to_dict()


def beside_text(engine: Engine, request: RecommendRequest) -> Work:
    """Return `Beside`: the run's own order, and that of the text alone, of the same candidates."""
    live = engine.live
    context = context_of(engine, request)
    chosen, places = candidates_of(engine, request, context)
    ours = _in_order(engine, context, chosen, places, (yield Ask([(context, chosen)])))
    frozen = live.run.recommender.frozen()
    if frozen is None:
        return Beside(_rows(engine, ours, request.k, {}), None)
    score = partial(_text_scores, engine, Scorer(frozen), context)
    text = yield from _sliced(score, chosen, SLICE)
    other = _Order(chosen, places, text, np.argsort(-text, kind="stable"))
    return _beside(engine, ours, engine, other, request.k)


def beside_run(engine: Engine, beside: Engine, request: RecommendRequest) -> Work:
    """Return `Beside`: what the run answers and what another one does, each of its candidates."""
    context = context_of(engine, request)
    chosen, places = candidates_of(engine, request, context)
    ours = _in_order(engine, context, chosen, places, (yield Ask([(context, chosen)])))
    live = beside.live
    context = context_of(beside, request)
    chosen, places = candidates_of(beside, request, context)
    step = len(chosen) if live.scorer.scores_catalogues else SLICE
    scores = yield from _sliced(partial(live.score_items, context), chosen, max(1, step))
    other = _in_order(beside, context, chosen, places, scores)
    return _beside(engine, ours, beside, other, request.k)


def _popular(engine: Engine, count: int) -> list[dict[str, Any]]:
    live = engine.live
    chosen, _ = live.candidates(live.context(None), count=count)
    return [{"item": live.raw(number), "title": live.title(number)} for number in chosen.tolist()]


def _text_scores(engine: Engine, scorer: Scorer, context: Context, items: IntArray) -> FloatArray:
    live = engine.live
    return scorer.score(live.join([(context, items)]), new_titles=live.new_titles)


def _sliced(
    score: Callable[[IntArray], FloatArray], items: IntArray, step: int
) -> Generator[Call, Any, FloatArray]:
    """Score items a slice at a time: [N]."""
    scores = np.empty(len(items))
    for at in _slices(len(items), step):
        scores[at] = yield Call(partial(score, items[at]), len)
    return scores


def _slices(count: int, step: int) -> Iterator[slice]:
    return (slice(first, first + step) for first in range(0, count, step))


def _in_order(
    engine: Engine, context: Context, items: IntArray, places: IntArray, scores: FloatArray
) -> _Order:
    best = engine.live.arranged(items, scores, k=len(items), context=context)
    return _Order(items, places, scores, best)


def _beside(engine: Engine, ours: _Order, beside: Engine, other: _Order, count: int) -> Beside:
    return Beside(
        _rows(engine, ours, count, _ranks(beside, other)),
        _rows(beside, other, count, _ranks(engine, ours)),
    )


def _ranks(engine: Engine, order: _Order) -> dict[str | None, int]:
    items = order.items[order.best].tolist()
    return {engine.live.raw(number): rank for rank, number in enumerate(items, start=1)}


def _rows(
    engine: Engine, order: _Order, count: int, elsewhere: Mapping[str | None, int]
) -> list[dict[str, Any]]:
    live = engine.live
    with_cf = live.run.cf is not None
    rows = []
    for rank, place in enumerate(order.best[:count].tolist(), start=1):
        number = int(order.items[place])
        rows.append(
            {
                "item": live.raw(number),
                "title": live.title(number),
                "rank": rank,
                "probability": float(expit(order.scores[place])),
                "candidate_rank": int(order.places[place]) or None,
                "elsewhere": elsewhere.get(live.raw(number)),
                "cold": with_cf and not order.places[place],
                "added": number > live.run.knowledge.catalogue.num_items,
            }
        )
    return rows

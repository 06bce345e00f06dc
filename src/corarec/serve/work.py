"""What a request does in the scoring thread, step by step; see `queue`."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit

from corarec.errors import DataError
from corarec.runs.live import Filters
from corarec.score.explain import Explanation
from corarec.serve.engine import Engine
from corarec.serve.jobs import Ask, Call, Work
from corarec.serve.schemas import Pair, Person, RankRequest, RecommendRequest
from corarec.types import FloatArray, IntArray

EXPLAINED_PAIRS = 16
"""About what an explanation costs."""


class Ranked(NamedTuple):
    """Items in order, and whether anything was known of whoever asked."""

    known: bool
    rows: list[dict[str, Any]]


def score(engine: Engine, pairs: Sequence[Pair]) -> Work:
    """Score pairs; return a row for each."""
    live = engine.live
    contexts = {pair.user: live.context(pair.user) for pair in pairs}
    titles = [pair.title for pair in pairs if pair.title is not None]
    numbers = _numbers(engine, pairs)
    parts = [
        (contexts[pair.user], np.array([number]))
        for pair, number in zip(pairs, numbers, strict=True)
    ]
    found = [live.title(number) if number > 0 else titles[-number - 1] for number in numbers]
    scores: FloatArray = yield Ask(parts, titles)
    return [
        {
            "user": pair.user,
            "item": pair.item,
            "title": title,
            "score": one,
            "probability": float(expit(one)),
        }
        for pair, title, one in zip(pairs, found, scores.tolist(), strict=True)
    ]


def rank(engine: Engine, request: RankRequest) -> Work:
    """Put somebody's own candidates in order; return `Ranked`."""
    live = engine.live
    context = context_of(engine, request)
    out = set(request.exclude)
    items = [item for item in request.items if item not in out]
    numbers = [live.number(item) for item in items]
    own = list(range(-1, -len(request.titles) - 1, -1))
    chosen = np.array(numbers + own, dtype=np.int64)
    scores: FloatArray = yield Ask([(context, chosen)], request.titles)
    best = np.argsort(-scores, kind="stable")[: request.k]
    rows = _rows(engine, chosen, scores, best, titles=request.titles)
    if request.explain:
        for row in rows:
            why = yield Call(partial(_why, engine, request, row), explained_pairs)
            row["explanation"] = why.to_dict()
    return Ranked(_is_known(engine, request, context), rows)


def recommend(engine: Engine, request: RecommendRequest) -> Work:
    """Choose and order items for somebody; return `Ranked`."""
    live = engine.live
    context = context_of(engine, request)
    chosen, places = candidates_of(engine, request, context)
    scores: FloatArray = yield Ask([(context, chosen)])
    best = live.arranged(chosen, scores, k=request.k, diversity=request.diversity, context=context)
    rows = _rows(engine, chosen, scores, best, places=places)
    return Ranked(_is_known(engine, request, context), rows)


def known(engine: Engine, user: str) -> Work:
    """Return what is known of a user."""
    return (yield Call(partial(engine.live.known, user)))


def users(engine: Engine, query: str, count: int) -> Work:
    """Return users whose ids hold `query`; without one some with much to tell."""
    live = engine.live
    find = (
        (lambda: live.search_users(query, count)) if query else (lambda: live.example_users(count))
    )
    return (yield Call(find))


def candidates_of(
    engine: Engine, request: RecommendRequest, context: Any
) -> tuple[IntArray, IntArray]:
    """Return the candidates for a person and their ranks by CF."""
    unknown = [item for item in request.exclude if not _there(engine, item)]
    exclude = [item for item in request.exclude if item not in set(unknown)]
    wanted = request.filter
    filters = Filters(
        where=wanted.where,
        year_from=wanted.year_from,
        year_to=wanted.year_to,
        unseen=not wanted.seen,
        added_only=wanted.added_only,
    )
    found: tuple[IntArray, IntArray] = engine.live.candidates(
        context, count=request.candidates, exclude=exclude, filters=filters
    )
    return found


def context_of(engine: Engine, person: Person) -> Any:
    """Return what is known of a person."""
    return engine.live.context(
        person.user, liked=person.liked or (), disliked=person.disliked or ()
    )


def _is_known(engine: Engine, person: Person, context: Any) -> bool:
    of_dataset = 0 < context.user_id <= engine.live.run.knowledge.num_users
    return of_dataset or len(context.liked) + len(context.disliked) > 0


def _numbers(engine: Engine, pairs: Sequence[Pair]) -> list[int]:
    """Return the number of each pair's item; -1, -2, ... for the titles that nobody knows."""
    numbers: list[int] = []
    own = 0
    for pair in pairs:
        if pair.item is not None:
            numbers.append(engine.live.number(pair.item))
        else:
            own -= 1
            numbers.append(own)
    return numbers


def _there(engine: Engine, item: str) -> bool:
    try:
        engine.live.number(item)
    except DataError:
        return False
    return True


def _rows(
    engine: Engine,
    chosen: IntArray,
    scores: FloatArray,
    best: IntArray,
    *,
    titles: Sequence[str] = (),
    places: IntArray | None = None,
) -> list[dict[str, Any]]:
    live = engine.live
    with_cf = live.run.cf is not None
    rows = []
    for place, row in enumerate(best.tolist(), start=1):
        number = int(chosen[row])
        rows.append(
            {
                "rank": place,
                "item": live.raw(number) if number > 0 else None,
                "title": live.title(number) if number > 0 else titles[-number - 1],
                "score": float(scores[row]),
                "probability": float(expit(scores[row])),
                "candidate_rank": None if places is None else int(places[row]) or None,
                "cold": None if places is None else with_cf and not places[row],
                "added": number > live.run.knowledge.catalogue.num_items,
            }
        )
    return rows


def explained_pairs(found: Explanation) -> int:
    """Return how many pairs an explanation scored: as it is, and without one thing at a time."""
    return 1 + len(found.effects)


def _why(engine: Engine, request: RankRequest, row: dict[str, Any]) -> Explanation:
    title = row["title"] if row["item"] is None else None
    return engine.live.explain(
        request.user,
        row["item"],
        liked=request.liked or (),
        disliked=request.disliked,
        title=title,
    )

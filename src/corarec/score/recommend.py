"""What to offer: candidates by collaborative filtering, order by the language model."""

import numpy as np
import polars as pl
from scipy.special import expit

from corarec.cf import VectorSource
from corarec.data import Catalogue
from corarec.score.context import Context
from corarec.score.joined import JoinedRanking, joined_order, signals
from corarec.score.scorer import Scorer
from corarec.types import IntArray, Pairs


def recommend(
    scorer: Scorer,
    cf: VectorSource | None,
    catalogue: Catalogue,
    context: Context,
    exclude: IntArray,
    *,
    count: int,
    candidates: int,
    joined: JoinedRanking | None = None,
) -> pl.DataFrame:
    """Return the `count` best items for one person.

    The CF model (or, without one, how often an item is liked) picks `candidates` items that are
    not in `exclude`; the system scores and orders them. Of a system that scores all items at once
    all of them are candidates. Where weights were learned on validation, both steps go by the
    parts that these join.

    Returns
    -------
    Columns rank (from 1), item (raw id), title, probability (of enjoying it), score (its logit) and
    candidate_rank (the order in which candidates were picked).
    """
    items = np.setdiff1d(np.arange(1, catalogue.num_items + 1), exclude)
    if scorer.scores_catalogues:
        candidates = len(items)
    if joined is None:
        chosen = items[candidate_order(cf, catalogue, context.pairs(items))][:candidates]
        scores = scorer.score_items(context, chosen)
        best = np.argsort(-scores, kind="stable")[:count]
    else:
        group = joined.of(context)
        said = signals(cf, catalogue, context, items, group.parts)
        picked = said.order(group.first)[:candidates]
        chosen = said.items[picked]
        scores = scorer.score_items(context, chosen)
        best = joined_order(said, picked, scores, group.then)[:count]
    return pl.DataFrame(
        {
            "rank": np.arange(1, len(best) + 1),
            "item": catalogue.vocabulary.raw(chosen[best]),
            "title": [catalogue.titles[item] for item in chosen[best]],
            "probability": expit(scores[best]),
            "score": scores[best],
            "candidate_rank": best + 1,
        }
    )


def candidate_order(cf: VectorSource | None, catalogue: Catalogue, pairs: Pairs) -> IntArray:
    """Return the positions of one person's pairs, what the CF model likes best first: [N].

    Without a CF model, and where it gives equal scores, as to a new user, the items that more users
    of the training split liked come first.
    """
    first = np.zeros(len(pairs)) if cf is None else cf.score(pairs)
    return np.lexsort((-catalogue.popularity[pairs.item_ids], -first))

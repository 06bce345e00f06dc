"""What to offer: candidates by collaborative filtering, order by the language model."""

import numpy as np
import polars as pl
from scipy.special import expit

from corarec.cf import VectorSource
from corarec.data import Catalogue
from corarec.score.context import Context
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
) -> pl.DataFrame:
    """Return the `count` best items for one person.

    The CF model (or, without one, how often an item is liked) picks `candidates` items that are
    not in `exclude`; the system scores and orders them. Of a system that scores all items at once
    all of them are candidates.

    Returns
    -------
    Columns rank (from 1), item (raw id), title, probability (of enjoying it), score (its logit) and
    candidate_rank (the order of the CF model).
    """
    items = np.setdiff1d(np.arange(1, catalogue.num_items + 1), exclude)
    chosen = items[candidate_order(cf, catalogue, context.pairs(items))]
    if not scorer.scores_catalogues:
        chosen = chosen[:candidates]
    scores = scorer.score_items(context, chosen)
    best = np.argsort(-scores, kind="stable")[:count]
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

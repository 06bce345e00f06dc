"""The metrics of rankings against those of ranx, where it is installed."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from corarec.evaluate.ranks import RankingConfig, rank_users

ranx = pytest.importorskip("ranx", reason="ranx is not installed (pip install 'corarec[dev]')")

USERS, ITEMS = 40, 300


@pytest.mark.slow
def test_recall_and_ndcg_are_those_of_ranx() -> None:
    random = np.random.default_rng(0)
    scores = random.normal(size=(USERS + 1, ITEMS + 1))
    seen = random.random((USERS + 1, ITEMS + 1)) < 0.1
    relevant = random.random((USERS + 1, ITEMS + 1)) < np.linspace(0.005, 0.4, USERS + 1)[:, None]
    wanted = relevant & ~seen
    wanted[:, 0] = False
    users = np.flatnonzero(wanted.any(axis=1))
    users = users[users > 0]
    ours = rank_users(
        lambda ids: scores[ids],
        users,
        csr_array(seen),
        csr_array(relevant),
        RankingConfig(cutoffs=(20, 40, 100)),
    )
    np.testing.assert_array_equal(ours.user_ids, users)
    unseen = {user: np.setdiff1d(np.flatnonzero(~seen[user]), [0]) for user in users.tolist()}
    qrels = ranx.Qrels(
        {
            f"u{user:03}": {f"i{item}": 1 for item in np.flatnonzero(wanted[user]).tolist()}
            for user in users.tolist()
        }
    )
    run = ranx.Run(
        {
            f"u{user:03}": {f"i{item}": float(scores[user, item]) for item in items.tolist()}
            for user, items in unseen.items()
        }
    )
    names = [f"{metric}@{k}" for k in (20, 40, 100) for metric in ("recall", "ndcg", "hits")]
    theirs = ranx.evaluate(qrels, run, names, return_mean=False)
    count = wanted.sum(axis=1)[users]
    assert count.min() < 20 < 100 < count.max()  # so that dividing by min(K, n) matters
    for k in (20, 40, 100):
        for metric in ("recall", "ndcg"):
            name = f"{metric}@{k}"
            np.testing.assert_allclose(ours.metrics[name], theirs[name], rtol=0, atol=1e-9)
        # CLLM4Rec's recall: divided by what K places can hold.
        capped = theirs[f"hits@{k}"] / np.minimum(k, count)
        name = f"capped_recall@{k}"
        np.testing.assert_allclose(ours.metrics[name], capped, rtol=0, atol=1e-9)

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.metrics import ndcg_score

from corarec.errors import DataError
from corarec.evaluate import ranks
from corarec.evaluate.bootstrap import BootstrapConfig
from corarec.evaluate.rankings import compare_rankings, evaluate_ranking
from corarec.evaluate.ranks import (
    RankingConfig,
    UserRankings,
    first_items,
    rank_users,
    relevant_ranks,
)
from corarec.evaluate.result import RankingEvaluation, RankingTable
from corarec.report.ranking_tables import ranking_markdown
from corarec.types import FloatArray, IntArray

FAST = BootstrapConfig(draws=50)
SCORES = np.array(
    [
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [9.0, 5.0, 4.0, 3.0, 2.0, 1.0],  # user 1 has seen item 1; likes 2 and 5
        [9.0, 1.0, 2.0, 3.0, 4.0, 5.0],  # user 2 has seen nothing; likes 1
        [9.0, 1.0, 1.0, 1.0, 1.0, 1.0],  # user 3 likes nothing
    ]
)
SEEN = csr_array(np.array([[0] * 6, [0, 1, 0, 0, 0, 0], [0] * 6, [0] * 6]))
RELEVANT = csr_array(np.array([[0] * 6, [0, 1, 1, 0, 0, 1], [0, 1, 0, 0, 0, 0], [0] * 6]))


def catalogue(user_ids: IntArray) -> FloatArray:
    return SCORES[user_ids]


def evaluation(batch_size: int = 256, users: tuple[int, ...] = (1, 2, 3)) -> RankingEvaluation:
    config = RankingConfig(cutoffs=(1, 2), batch_size=batch_size)
    ranked = rank_users(catalogue, np.array(users, dtype=np.int64), SEEN, RELEVANT, config)
    return evaluate_ranking(ranked, config=FAST)


def test_metrics_by_hand() -> None:
    result = evaluation()
    assert (result.users, result.users_left_out, result.relevant_seen) == (2, 1, 1)
    values = {name: estimate.value for name, estimate in result.metrics.items()}
    # User 1: unseen order 2, 3, 4, 5, so ranks 1 and 4. User 2: item 1 is last, rank 5.
    best_of_two = 1 + 1 / np.log2(3)
    assert values == pytest.approx(
        {
            "recall@1": (1 / 2 + 0) / 2,
            "capped_recall@1": (1 + 0) / 2,
            "ndcg@1": (1 + 0) / 2,
            "hr@1": (1 + 0) / 2,
            "recall@2": (1 / 2 + 0) / 2,
            "capped_recall@2": (1 / 2 + 0) / 2,
            "ndcg@2": (1 / best_of_two + 0) / 2,
            "hr@2": (1 + 0) / 2,
            "mrr": (1 + 1 / 5) / 2,
        }
    )


def test_batches_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = evaluation()
    assert evaluation(batch_size=1) == whole
    monkeypatch.setattr(ranks, "_BYTES_PER_CHUNK", 1)
    assert evaluation(batch_size=2) == whole


def test_ties_go_to_the_smaller_item_id() -> None:
    scores = np.array([[0.0, 1.0, 1.0, 1.0, 2.0]])
    wanted = np.array([[False, False, True, True, False]])
    blocked = np.array([[True, False, False, False, False]])
    rows, ranks = relevant_ranks(scores, wanted, blocked)
    assert rows.tolist() == [0, 0]
    assert ranks.tolist() == [3, 4]


def test_ranks_equal_a_full_sort() -> None:
    generator = np.random.default_rng(0)
    scores = generator.integers(0, 20, (30, 200)).astype(np.float64)
    kind = generator.random((30, 200))
    blocked, wanted = kind < 0.2, kind > 0.9
    rows, ranks = relevant_ranks(scores, wanted, blocked)
    order = np.argsort(np.where(blocked, np.inf, -scores), axis=1, kind="stable")
    position = np.argsort(order, axis=1) + 1
    np.testing.assert_array_equal(ranks, position[np.nonzero(wanted)])
    np.testing.assert_array_equal(rows, np.nonzero(wanted)[0])


def test_no_user_with_a_relevant_item() -> None:
    result = evaluation(users=(3,))
    assert (result.users, result.users_left_out, result.metrics) == (0, 1, {})
    assert evaluation(users=()).metrics == {}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_named(bad: float) -> None:
    def broken(user_ids: IntArray) -> FloatArray:
        scores = catalogue(user_ids).copy()
        scores[1, 4] = bad
        return scores

    with pytest.raises(DataError, match="1 catalogue scores .* user 2 and item 4"):
        rank_users(broken, np.array([1, 2]), SEEN, RELEVANT)


def test_scores_of_a_wrong_shape_are_an_error() -> None:
    with pytest.raises(DataError, match=r"shape \(2, 5\); wanted \(2, 6\)"):
        rank_users(lambda u: catalogue(u)[:, 1:], np.array([1, 2]), SEEN, RELEVANT)


def ranked(shift: float, users: tuple[int, ...] = (1, 2)) -> UserRankings:
    def score(user_ids: IntArray) -> FloatArray:
        return SCORES[user_ids] + shift * np.arange(6)

    return rank_users(score, np.array(users), SEEN, RELEVANT, RankingConfig(cutoffs=(1,)))


def test_a_comparison_is_the_difference_of_the_same_users() -> None:
    best_last, as_it_is = ranked(10.0), ranked(0.0)
    pair = compare_rankings(best_last, as_it_is, ("last", "plain"), config=FAST)
    # Item 5 first for both: a hit for user 1 either way, and for user 2 item 1 stays last.
    assert pair.metrics["hr@1"].value == 0
    assert pair.metrics["hr@1"].p_value == 1
    means = [of.metrics["mrr"].mean() for of in (best_last, as_it_is)]
    assert pair.metrics["mrr"].value == pytest.approx(means[0] - means[1])
    assert (pair.users, pair.first, pair.second) == (2, "last", "plain")
    with pytest.raises(DataError, match="a ranked for 2 users and b for 1"):
        compare_rankings(best_last, ranked(0.0, users=(1,)), ("a", "b"))


def test_a_table_has_one_row_per_metric() -> None:
    plain = ranked(0.0)
    result = RankingTable(
        dataset="Toy",
        split="test",
        items=5,
        candidates=3,
        systems=[evaluate_ranking(plain, "CoRA", config=FAST)],
        references=[evaluate_ranking(ranked(10.0), "Popularity", config=FAST)],
        comparisons=[compare_rankings(plain, plain, ("CoRA", "Popularity"), config=FAST)],
    )
    lines = ranking_markdown(result).splitlines()
    assert lines[0] == "| Metric | CoRA | interval | Popularity | interval |"
    metrics = [line.split(" | ")[0] for line in lines[2:7]]
    assert metrics == ["| Recall@1", "| capped Recall@1", "| NDCG@1", "| HR@1", "| MRR"]
    assert lines[7].startswith("| Coverage@1 | 0.")
    assert "Means over 2 users" in lines[9]
    assert lines[-3].startswith("| MRR | 0.000 | [0.000, 0.000] | 1.000 |")


def test_agreement_with_scikit_learn() -> None:
    generator = np.random.default_rng(3)
    scores = generator.normal(size=(21, 101))
    kind = generator.random((21, 101))
    kind[:, 0] = 0.5
    seen, relevant = kind < 0.2, kind > 0.93
    users = np.flatnonzero(relevant.any(axis=1))
    users = users[users > 0]
    assert len(users) > 15
    ours = rank_users(
        lambda batch: scores[batch],
        users,
        csr_array(seen),
        csr_array(relevant),
        RankingConfig(cutoffs=(10,), batch_size=7),
    )
    assert ours.user_ids.tolist() == users.tolist()
    for place, user in enumerate(users):
        kept = ~seen[user]
        kept[0] = False
        truth, given = relevant[user, kept], scores[user, kept]
        theirs = ndcg_score(truth[None].astype(int), given[None], k=10)
        assert ours.metrics["ndcg@10"][place] == pytest.approx(theirs, abs=1e-12)
        listed = truth[np.argsort(-given)]
        assert ours.metrics["recall@10"][place] == listed[:10].sum() / truth.sum()
        assert ours.metrics["hr@10"][place] == listed[:10].any()
        assert ours.metrics["mrr"][place] == 1 / (1 + np.flatnonzero(listed)[0])


def test_the_first_items_are_the_unblocked_of_largest_score_small_ids_first() -> None:
    random = np.random.default_rng(0)
    scores = random.integers(0, 4, size=(30, 12)).astype(np.float64)
    blocked = random.random((30, 12)) < 0.4
    blocked[0] = True
    found = first_items(scores, blocked, 5)
    for row in range(30):
        items = np.flatnonzero(~blocked[row])
        best = items[np.argsort(-scores[row, items], kind="stable")][:5]
        np.testing.assert_array_equal(found[row], np.pad(best, (0, 5 - len(best))))
    assert first_items(scores, blocked, 40).shape == (30, 40)

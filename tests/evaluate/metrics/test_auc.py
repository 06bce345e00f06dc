from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from corarec.evaluate.metrics import auc, uauc, user_aucs
from corarec.types import ScoreTable

MakeTable = Callable[..., ScoreTable]


def test_auc_counts_pairs_by_hand() -> None:
    # Positives 0.9 and 0.3, negatives 0.5 and 0.1: three of four pairs are in order.
    labels, scores = np.array([1, 0, 1, 0]), np.array([0.9, 0.5, 0.3, 0.1])
    assert auc(labels, scores) == 0.75


def test_a_tie_is_half_a_pair() -> None:
    assert auc(np.array([1, 0]), np.array([2.0, 2.0])) == 0.5
    # Pairs: 2 > 1 (1), 2 = 2 (0.5), 1 = 1 (0.5), 1 < 2 (0) of four.
    assert auc(np.array([1, 1, 0, 0]), np.array([2.0, 1.0, 1.0, 2.0])) == 0.5


@pytest.mark.parametrize("label", [0, 1])
def test_auc_of_one_label_is_none_not_nan(label: int) -> None:
    assert auc(np.full(3, label), np.arange(3.0)) is None


def test_empty_rows_have_no_metrics() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    assert auc(nothing, np.zeros(0)) is None
    assert uauc(nothing, nothing, np.zeros(0)) is None
    assert len(user_aucs(nothing, nothing, np.zeros(0)).values) == 0


def test_uauc_is_the_plain_mean_and_leaves_users_with_one_label_out() -> None:
    # User 7: perfect (1). User 2: one of two pairs (0.5). User 5: one label. User 9: one row.
    users = np.array([7, 2, 7, 2, 2, 5, 5, 9, 7])
    labels = np.array([1, 1, 0, 0, 0, 1, 1, 0, 0])
    scores = np.array([9.0, 5.0, 1.0, 8.0, 3.0, 1.0, 2.0, 4.0, 2.0])
    result = user_aucs(users, labels, scores)
    assert result.user_ids.tolist() == [2, 7]
    assert result.values.tolist() == [0.5, 1.0]
    assert uauc(users, labels, scores) == 0.75


def test_uauc_of_one_label_users_is_none() -> None:
    assert uauc(np.array([1, 2]), np.array([1, 0]), np.array([0.1, 0.9])) is None


def test_agreement_with_sklearn_on_ties(random_table: MakeTable) -> None:
    table = random_table(rows=2000, users=50)
    assert auc(table.labels, table.scores) == pytest.approx(
        roc_auc_score(table.labels, table.scores), abs=1e-12
    )
    by_hand = {}
    for user in np.unique(table.user_ids):
        own = table.take(table.user_ids == user)
        if 0 < own.labels.sum() < len(own):
            by_hand[int(user)] = roc_auc_score(own.labels, own.scores)
    result = user_aucs(table.user_ids, table.labels, table.scores)
    assert dict(zip(result.user_ids.tolist(), result.values.tolist(), strict=True)) == (
        pytest.approx(by_hand, abs=1e-12)
    )
    assert result.mean == pytest.approx(np.mean(list(by_hand.values())))


def test_metrics_do_not_depend_on_the_order_of_rows(random_table: MakeTable) -> None:
    table = random_table()
    shuffled = table.take(np.random.default_rng(1).permutation(len(table)))
    assert auc(table.labels, table.scores) == auc(shuffled.labels, shuffled.scores)
    assert uauc(table.user_ids, table.labels, table.scores) == pytest.approx(
        uauc(shuffled.user_ids, shuffled.labels, shuffled.scores)
    )

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from corarec.benchmark.references import (
    HISTORY_LENGTH,
    ITEM_RATE,
    LOGISTIC_REGRESSION,
    LabelledPairs,
    ReferenceConfig,
    TrivialReferences,
    fit_references,
    item_rates,
)
from corarec.data import PrepareConfig, prepare
from corarec.errors import DataError
from corarec.evaluate.metrics import auc, uauc
from corarec.types import Pairs

MakePairs = Callable[..., Pairs]


def labelled(pairs: Pairs, labels: list[int]) -> LabelledPairs:
    return LabelledPairs(pairs, np.array(labels))


def test_item_rate_by_hand(make_pairs: MakePairs) -> None:
    train = labelled(make_pairs([1, 2, 3, 4], [1, 1, 1, 3]), [1, 1, 0, 1])
    rates, overall = item_rates(train, smoothing=5)
    assert overall == 0.75
    assert rates.tolist() == pytest.approx([0.75, (2 + 3.75) / 8, 0.75, (1 + 3.75) / 6])


@pytest.fixture
def references(make_pairs: MakePairs) -> TrivialReferences:
    # Users 1..20 like what is even; users 21..40 nearly nothing; item 10 occurs in no row.
    users, items = np.divmod(np.arange(360), 9)
    pairs = make_pairs((users + 1).tolist(), (items + 1).tolist())
    labels = ((pairs.item_ids % 2 == 0) & (pairs.user_ids <= 20)).astype(np.int64)
    labels[-1] = 1
    return fit_references(LabelledPairs(pairs, labels), LabelledPairs(pairs, labels))


def test_scores_of_known_and_unknown_ids(
    references: TrivialReferences, make_pairs: MakePairs
) -> None:
    target = make_pairs([1, 1, 40, 99, 1], [2, 1, 2, 2, 500], [[5, 6], [], [1], [1, 2, 3], []])
    scores = references.scores(target)
    assert list(scores) == [ITEM_RATE, LOGISTIC_REGRESSION, HISTORY_LENGTH]
    assert scores[HISTORY_LENGTH].tolist() == [-2, 0, -1, -3, 0]
    overall = 81 / 360
    rate = (20 + 5 * overall) / 45
    assert scores[ITEM_RATE].tolist() == pytest.approx(
        [rate, 5 * overall / 45, rate, rate, overall]
    )
    likes, dislikes, other_user, unknown_user, unknown_item = scores[LOGISTIC_REGRESSION]
    assert likes > unknown_user > other_user
    assert likes > unknown_item > dislikes


def test_unknown_ids_leave_only_the_other_side(
    references: TrivialReferences, make_pairs: MakePairs
) -> None:
    scores = references.scores(make_pairs([77, 99, 0], [2, 2, 2]))[LOGISTIC_REGRESSION]
    assert scores[0] == scores[1] == scores[2]
    nothing_known = references.scores(make_pairs([99, 0], [700, 0]))[LOGISTIC_REGRESSION]
    assert nothing_known[0] == nothing_known[1]


def test_the_penalty_is_chosen_on_valid(make_pairs: MakePairs) -> None:
    generator = np.random.default_rng(0)
    users, items = generator.integers(1, 30, 600), generator.integers(1, 30, 600)
    taste = generator.normal(size=30)
    labels = (taste[items] + generator.normal(size=600) > 0).astype(np.int64)
    pairs = make_pairs(users.tolist(), items.tolist())
    first, second = slice(0, 300), slice(300, 600)
    train = LabelledPairs(pairs.take(first), labels[first])
    valid = LabelledPairs(pairs.take(second), labels[second])
    grid = (1e-4, 0.1, 1000.0)
    single = {}
    for value in grid:
        config = ReferenceConfig(inverse_penalties=(value,))
        model = fit_references(train, valid, config)
        single[value] = auc(valid.labels, model.scores(valid.pairs)[LOGISTIC_REGRESSION]) or 0
    chosen = fit_references(train, valid, ReferenceConfig(inverse_penalties=grid))
    assert chosen.inverse_penalty == max(grid, key=single.__getitem__)


def test_one_label_only_is_an_error(make_pairs: MakePairs) -> None:
    good, bad = labelled(make_pairs([1, 2], [1, 1]), [0, 1]), labelled(make_pairs([1], [1]), [1])
    with pytest.raises(DataError, match="The 1 rows of valid do not have both labels"):
        fit_references(good, bad)
    with pytest.raises(DataError, match="The 1 rows of train do not have both labels"):
        fit_references(bad, good)


def test_known_numbers_on_movielens(shared: Path, tmp_path: Path) -> None:
    """The AUC and UAUC of the references on the ML-1M split, to three digits, known beforehand."""
    dataset = prepare(
        PrepareConfig(
            source="movielens",
            input=shared / "data" / "ml-1m",
            output=tmp_path / "ml-1m",
            split="collm-ml1m",
        )
    )
    train = LabelledPairs(dataset.pairs("train"), dataset.labels("train"))
    valid = LabelledPairs(dataset.pairs("valid"), dataset.labels("valid"))
    target, labels = dataset.pairs("test"), dataset.labels("test")
    measured = {
        name: (auc(labels, scores), uauc(target.user_ids, labels, scores))
        for name, scores in fit_references(train, valid).scores(target).items()
    }
    # Minus the history length: scikit-learn's roc_auc_score gives 0.519; 0.481 is its mirror.
    assert measured[ITEM_RATE] == pytest.approx((0.709, 0.682), abs=6e-4)
    assert measured[LOGISTIC_REGRESSION] == pytest.approx((0.738, 0.688), abs=6e-4)
    assert measured[HISTORY_LENGTH] == pytest.approx((0.519, 0.632), abs=6e-4)

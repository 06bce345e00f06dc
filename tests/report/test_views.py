from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from corarec.errors import DataError
from corarec.evaluate import BootstrapConfig, auc, evaluate
from corarec.report.views import (
    calibration_error,
    reliability_bins,
    roc_points,
    user_differences,
    view_scores,
    wilson_interval,
)
from corarec.types import ScoreTable

MakeScores = Callable[..., ScoreTable]


def test_roc_points_by_hand() -> None:
    # Down the scores: a hit, a miss, a hit, a miss.
    points = roc_points(np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1]))
    assert points == [(0.0, 0.0), (0.0, 0.5), (0.5, 0.5), (0.5, 1.0), (1.0, 1.0)]


def test_equal_scores_make_one_straight_step() -> None:
    assert roc_points(np.array([1, 0, 1, 0]), np.ones(4)) == [(0.0, 0.0), (1.0, 1.0)]


def test_the_area_under_the_curve_is_the_auc() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 5000)
    coarse = np.round(generator.normal(size=5000) + labels, 1)
    x, y = np.array(roc_points(labels, coarse)).T
    assert np.trapezoid(y, x) == pytest.approx(auc(labels, coarse), abs=1e-12)
    fine = generator.normal(size=5000) + labels
    thinned = np.array(roc_points(labels, fine))
    assert len(thinned) <= 200
    assert thinned[0].tolist() == [0, 0]
    assert thinned[-1].tolist() == [1, 1]
    assert np.trapezoid(thinned[:, 1], thinned[:, 0]) == pytest.approx(auc(labels, fine), abs=1e-3)


def test_reliability_bins_by_hand() -> None:
    probabilities = np.array([0.9, 0.1, 0.3, 0.7, 1.0, 0.5])
    bins = reliability_bins(np.array([1, 0, 1, 1, 0, 0]), probabilities, bins=2)
    assert [one.rows for one in bins] == [2, 4]
    assert [one.predicted for one in bins] == pytest.approx([0.2, 0.775])
    assert [one.observed for one in bins] == [0.5, 0.5]
    # Two of six rows are 0.3 off, four are 0.275 off.
    assert calibration_error(bins) == pytest.approx((2 * 0.3 + 4 * 0.275) / 6)


def test_bins_have_equal_width_and_empty_ones_are_left_out() -> None:
    bins = reliability_bins(np.array([1, 0]), np.array([0.01, 0.99]), bins=10)
    assert [(one.rows, one.observed) for one in bins] == [(1, 1.0), (1, 0.0)]
    assert calibration_error([]) is None


def test_wilson_interval_known_values() -> None:
    # 8 of 10, as in the common worked example: 0.490 to 0.943.
    assert wilson_interval(0.8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson_interval(0.0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson_interval(1.0, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)


def test_a_view_holds_what_the_figures_draw(make_scores: MakeScores) -> None:
    table = make_scores(2.0)
    view = view_scores(table, "CoRA")
    assert view.auc == auc(table.labels, table.scores)
    assert sum(one.rows for one in view.reliability) == len(table)
    evaluated = evaluate(table, "CoRA", metrics=["ece"], config=BootstrapConfig(draws=2))
    ece = evaluated.whole.metrics["ece"]
    assert ece is not None
    assert view.calibration_error == pytest.approx(ece.value, abs=1e-12)
    assert sum(view.distribution.enjoyed) == table.labels.sum()
    assert sum(view.distribution.not_enjoyed) == (1 - table.labels).sum()
    assert len(view.user_auc_counts) == 20
    assert sum(view.user_auc_counts) == 30


def test_scores_that_are_no_logits_have_no_calibration(make_scores: MakeScores) -> None:
    table = replace(make_scores(), logits=False)
    view = view_scores(table, "Minus history length")
    assert view.reliability == []
    assert not view.distribution.probability
    assert view.distribution.edges[0] == table.scores.min()
    assert view.calibration_error is None


def test_bad_scores_are_errors(make_scores: MakeScores) -> None:
    table = make_scores()
    with pytest.raises(DataError, match="300 of 300 scores in CoRA are not finite"):
        view_scores(replace(table, scores=table.scores * np.nan), "CoRA")
    with pytest.raises(DataError, match="There are no scores of CoRA"):
        view_scores(table.take(np.zeros(300, dtype=np.bool_)), "CoRA")


def test_rows_of_one_label_have_no_roc_curve_but_all_the_rest(make_scores: MakeScores) -> None:
    table = make_scores()
    view = view_scores(replace(table, labels=np.ones(300, dtype=np.int64)), "CoRA")
    assert (view.auc, view.uauc, view.roc, sum(view.user_auc_counts)) == (None, None, [], 0)
    assert sum(view.distribution.enjoyed) == 300
    assert sum(view.distribution.not_enjoyed) == 0
    assert sum(one.rows for one in view.reliability) == 300


def hand_made(scores: list[float]) -> ScoreTable:
    """Users 1 to 4 with two rows each, the first of them liked; 4 likes both."""
    return ScoreTable(
        user_ids=np.repeat([1, 2, 3, 4], 2),
        item_ids=np.arange(8) + 1,
        labels=np.array([1, 0, 1, 0, 1, 0, 1, 1]),
        warm=np.ones(8, dtype=np.bool_),
        scores=np.array(scores, dtype=np.float64),
    )


def test_user_differences_by_hand() -> None:
    right, wrong, tie = [1.0, 0.0], [0.0, 1.0], [0.5, 0.5]
    first = hand_made([*right, *right, *wrong, *right])
    second = hand_made([*wrong, *right, *tie, *right])
    found = user_differences([first], [second], ("A", "B"))
    # User 1: 1 - 0; user 2: 1 - 1; user 3: 0 - 0.5; user 4 has one label.
    assert found.curve == [(1 / 6, 1.0), (3 / 6, 0.0), (5 / 6, -0.5)]
    assert (found.better, found.equal, found.worse, found.left_out) == (1, 1, 1, 1)
    assert found.mean == pytest.approx(0.5 / 3)
    # Two seeds are averaged: user 1 has (1 + 0) / 2 - 0.
    seeds = user_differences([first, second], [second], ("A", "B"))
    assert [value for _, value in seeds.curve] == [0.5, 0.0, -0.25]


def test_one_user_and_no_user() -> None:
    table = hand_made([1, 0] * 4)
    first, last = ([table.take(table.user_ids == user)] for user in (1, 4))
    one = user_differences(first, first, ("A", "B"))
    assert (one.curve, one.equal, one.mean) == ([(0.5, 0.0)], 1, 0.0)
    none = user_differences(last, last, ("A", "B"))
    assert (none.curve, none.mean, none.left_out) == ([], None, 1)


def test_users_are_compared_on_the_same_rows_of_finite_scores() -> None:
    table = hand_made([1, 0] * 4)
    with pytest.raises(DataError, match="paired test need the same rows"):
        user_differences([table], [table.take(table.user_ids < 3)], ("A", "B"))
    with pytest.raises(DataError, match="in B are not finite"):
        user_differences([table], [hand_made([float("nan")] * 8)], ("A", "B"))


def test_many_users_are_thinned_from_end_to_end() -> None:
    users = np.repeat(np.arange(3000), 2)
    labels = np.tile([1, 0], 3000)
    scores = np.random.default_rng(0).normal(size=6000)
    table = ScoreTable(users, users, labels, labels > 0, scores)
    found = user_differences([table], [replace(table, scores=-scores)], ("A", "B"))
    assert len(found.curve) == 400
    assert (found.curve[0][1], found.curve[-1][1]) == (1.0, -1.0)
    assert found.better + found.worse == 3000

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from corarec.errors import DataError
from corarec.evaluate import auc
from corarec.report.views import reliability_bins, roc_points, view_scores, wilson_interval
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
    probabilities = np.array([0.9, 0.1, 0.3, 0.7])
    bins = reliability_bins(np.array([1, 0, 1, 1]), probabilities, bins=2)
    assert [one.rows for one in bins] == [2, 2]
    assert [one.predicted for one in bins] == pytest.approx([0.2, 0.8])
    assert [one.observed for one in bins] == [0.5, 1.0]
    assert len(reliability_bins(np.array([1, 0]), np.array([0.2, 0.4]), bins=10)) == 2


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
    assert view.calibration_error == pytest.approx(
        np.mean([abs(one.predicted - one.observed) for one in view.reliability])
    )
    assert len(view.user_auc_counts) == 20
    assert sum(view.user_auc_counts) == 30


def test_scores_that_are_no_logits_have_no_calibration(make_scores: MakeScores) -> None:
    view = view_scores(make_scores(), "Minus history length", logits=False)
    assert view.reliability == []
    assert view.calibration_error is None


def test_bad_scores_are_errors(make_scores: MakeScores) -> None:
    table = make_scores()
    with pytest.raises(DataError, match="300 of 300 scores in CoRA are not finite"):
        view_scores(replace(table, scores=table.scores * np.nan), "CoRA")
    with pytest.raises(DataError, match="CoRA have one label only"):
        view_scores(replace(table, labels=np.ones(300, dtype=np.int64)), "CoRA")

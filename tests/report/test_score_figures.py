from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from corarec.report.data import UserDifferences
from corarec.report.figures import Palette
from corarec.report.score_figures import (
    SPREADS,
    distribution_figures,
    reliability_figure,
    roc_figure,
    score_figures,
    user_auc_figure,
    user_difference_figures,
)
from corarec.report.views import view_scores
from corarec.types import ScoreTable

MakeScores = Callable[..., ScoreTable]


def test_score_figures_name_the_numbers(make_scores: MakeScores) -> None:
    good, bad = view_scores(make_scores(3.0), "CoRA"), view_scores(make_scores(0.1), "Noise")
    palette = Palette(["Noise", "CoRA"])
    roc = roc_figure([good, bad], palette)
    assert roc.legend[0] == ("s1", f"CoRA ({good.auc:.3f})")
    assert "CoRA has the largest" in roc.caption
    assert len(roc.table) == len(good.roc) + len(bad.roc)
    calibration = reliability_figure([good, bad], palette)
    assert calibration.legend[0] == ("s1", f"CoRA (ECE {good.calibration_error:.3f})")
    assert calibration.table["rows"].sum() == 600
    assert calibration.chart is not None
    drawn = calibration.chart.inline()
    assert drawn.count(" rows</title>") == len(good.reliability) + len(bad.reliability)
    users = user_auc_figure([good, bad], palette)
    assert users.legend[1] == ("s0", f"Noise (mean {bad.uauc:.3f})")
    below = sum(bad.user_auc_counts[:10]) / 30
    assert f"Noise {below:.0%}" in users.caption
    assert users.table["users"].sum() == 60


def test_the_spread_of_each_label_is_in_the_data(make_scores: MakeScores) -> None:
    table = make_scores(2.0)
    (figure,) = distribution_figures([view_scores(table, "CoRA")])
    assert figure.table["enjoyed"].sum() == table.labels.sum()
    assert figure.table["not_enjoyed"].sum() == 300 - table.labels.sum()
    assert [name for _, name in figure.legend] == [
        f"enjoyed ({table.labels.sum()} rows)",
        f"not enjoyed ({300 - table.labels.sum()} rows)",
    ]
    many = distribution_figures([view_scores(table, f"row {n}") for n in range(SPREADS + 2)])
    assert len(many) == SPREADS
    assert f"the best {SPREADS} of {SPREADS + 2} systems" in many[0].caption


def test_what_cannot_be_drawn_is_a_sentence(make_scores: MakeScores) -> None:
    table = replace(make_scores(), logits=False, labels=np.ones(300, dtype=np.int64))
    roc, calibration, users, spread = score_figures([view_scores(table, "Length")], Palette())
    assert (roc.chart, calibration.chart, users.chart) == (None, None, None)
    assert "one label, so there is no ROC curve" in roc.caption
    assert "No system here gives probabilities" in calibration.caption
    assert "No user has rows of both labels" in users.caption
    assert "All rows have one label." in spread.caption
    assert spread.chart is not None
    assert "nan" not in spread.chart.inline().lower()
    (figure,) = user_difference_figures([UserDifferences(first="A", second="B", left_out=3)])
    assert figure.chart is None
    assert "no AUC within a user to compare" in figure.caption
    assert score_figures([], Palette()) == []


@pytest.mark.parametrize("curve", [[(0.5, 0.0)], [(0.25, 0.5), (0.75, -0.25)]])
def test_users_are_drawn_and_counted(curve: list[tuple[float, float]]) -> None:
    pair = UserDifferences(
        first="CoRA <b>", second="MF", curve=curve, better=1, worse=len(curve) - 1, mean=0.125
    )
    (figure,) = user_difference_figures([pair])
    assert "for 1 of " in figure.caption
    assert "the mean +0.1250" in figure.caption
    assert [row[2:] for row in figure.table.rows()] == curve
    assert figure.chart is not None
    assert "nan" not in figure.chart.inline().lower()
    assert (
        f"{len([pair] * 9) - SPREADS} further pairs"
        in user_difference_figures([pair] * 9)[0].caption
    )

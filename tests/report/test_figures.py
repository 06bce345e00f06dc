from collections.abc import Callable

from corarec.report.data import TrainingCurve
from corarec.report.figures import (
    Palette,
    reliability_figure,
    roc_figure,
    training_figures,
    user_auc_figure,
)
from corarec.report.views import view_scores
from corarec.types import ScoreTable

MakeScores = Callable[..., ScoreTable]


def test_a_name_keeps_its_colour() -> None:
    palette = Palette(["MF", "CoRA"])
    assert [palette(name) for name in ("CoRA", "MF", "new", "CoRA")] == ["s1", "s0", "s2", "s1"]


def test_training_figures_name_the_best_checkpoint() -> None:
    curve = TrainingCurve(
        name="CoRA",
        train_loss=[(10, 0.6), (20, 0.5)],
        valid_auc=[(100, 0.70), (1200, 0.73), (1300, 0.72)],
    )
    loss, valid = training_figures([curve], Palette())
    assert "CoRA ends at 0.500" in loss.caption
    assert "CoRA 0.730 at step 1,200" in valid.caption
    assert 'class="ring s0"' in valid.drawing
    assert valid.legend == [("s0", "CoRA")]


def test_runs_without_a_curve_are_left_out() -> None:
    only_loss = TrainingCurve(name="CoRA", train_loss=[(1, 0.7)])
    assert [figure.title for figure in training_figures([only_loss], Palette())] == [
        "Training loss"
    ]
    assert training_figures([TrainingCurve(name="empty")], Palette()) == []


def test_long_losses_are_averaged_over_neighbours() -> None:
    noisy = [(float(step), float(step % 2)) for step in range(1000)]
    (figure,) = training_figures([TrainingCurve(name="CoRA", train_loss=noisy)], Palette())
    points = figure.drawing.split('points="')[1].split('"')[0].split()
    assert 100 < len(points) <= 150
    assert "CoRA ends at" in figure.caption


def test_score_figures_name_the_numbers(make_scores: MakeScores) -> None:
    good, bad = view_scores(make_scores(3.0), "CoRA"), view_scores(make_scores(0.1), "Noise")
    palette = Palette(["Noise", "CoRA"])
    roc = roc_figure([good, bad], palette)
    assert roc.legend[0] == ("s1", f"CoRA ({good.auc:.3f})")
    assert "CoRA has the largest" in roc.caption
    calibration = reliability_figure([good, bad], palette)
    assert calibration is not None
    assert calibration.drawing.count("<circle") == 20
    users = user_auc_figure([good, bad], palette)
    assert users is not None
    assert users.legend[1] == ("s0", f"Noise (mean {bad.uauc:.3f})")
    below = sum(bad.user_auc_counts[:10]) / 30
    assert f"Noise {below:.0%}" in users.caption


def test_figures_without_data_are_left_out(make_scores: MakeScores) -> None:
    view = view_scores(make_scores(), "Length", logits=False)
    assert reliability_figure([view], Palette()) is None
    nobody = view.model_copy(update={"user_auc_counts": [0] * 20, "uauc": None})
    assert user_auc_figure([nobody], Palette()) is None

from corarec.report.data import TrainingCurve
from corarec.report.figures import SHOWN, Palette, thinned, training_figures


def test_a_name_keeps_its_colour() -> None:
    palette = Palette(["MF", "CoRA"])
    assert [palette(name) for name in ("CoRA", "MF", "new", "CoRA")] == ["s1", "s0", "s2", "s1"]


def test_the_ninth_name_has_the_first_colour_in_another_form() -> None:
    palette = Palette([f"row {number}" for number in range(9)])
    assert palette("row 8") == "s0 again"


def test_training_figures_name_the_best_checkpoint() -> None:
    curve = TrainingCurve(
        name="CoRA",
        train_loss=[(10, 0.6), (20, 0.5)],
        valid={"auc": [(100, 0.80), (1200, 0.73), (1300, 0.72)]},
        last_phase=100,
    )
    loss, valid = training_figures([curve], Palette())
    assert "CoRA ends at 0.500" in loss.caption
    assert "CoRA 0.730 at step 1,200" in valid.caption
    assert valid.legend == [("s0", "CoRA")]
    assert valid.table.rows() == [("CoRA", 100, 0.8), ("CoRA", 1200, 0.73), ("CoRA", 1300, 0.72)]
    assert valid.chart is not None
    assert "<title>CoRA: 0.7300 at step 1,200</title>" in valid.chart.inline()


def test_runs_without_a_curve_are_left_out() -> None:
    only_loss = TrainingCurve(name="CoRA", train_loss=[(1, 0.7)])
    assert [figure.title for figure in training_figures([only_loss], Palette())] == [
        "Training loss"
    ]
    (figure,) = training_figures([TrainingCurve(name="empty")], Palette())
    assert figure.chart is None
    assert "No log of a training was found" in figure.caption
    assert training_figures([], Palette()) == []


def test_a_loss_is_best_where_it_is_smallest_and_unknown_metrics_have_their_name() -> None:
    valid = {"logloss": [(1.0, 0.7), (2.0, 0.5)], "hits@3": [(1.0, 0.1), (2.0, 0.05)]}
    loss, hits = training_figures([TrainingCurve(name="A", valid=valid)], Palette())
    assert "smallest value" in loss.caption
    assert "A 0.500 at step 2" in loss.caption
    assert (hits.title, "A 0.100 at step 1" in hits.caption) == ("Validation hits@3", True)


def test_of_many_systems_the_first_are_drawn_and_all_are_in_the_data() -> None:
    curves = [TrainingCurve(name=f"row {n}", train_loss=[(1, 0.5)]) for n in range(SHOWN + 3)]
    (figure,) = training_figures(curves, Palette())
    assert len(figure.legend) == SHOWN
    assert f"the best {SHOWN} of {SHOWN + 3} systems" in figure.caption
    assert len(figure.table) == SHOWN + 3


def test_long_losses_are_averaged_over_neighbours() -> None:
    noisy = [(float(step), float(step % 2)) for step in range(1000)]
    points = thinned(noisy)
    assert 100 < len(points) <= 150
    assert points[0] == (3.0, 3 / 7)
    (figure,) = training_figures([TrainingCurve(name="CoRA", train_loss=noisy)], Palette())
    assert "CoRA ends at" in figure.caption
    assert len(figure.table) == 1000

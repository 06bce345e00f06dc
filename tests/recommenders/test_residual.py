"""The skip connection from the CF model's score to the answer, by numbers."""

import numpy as np
import pytest
import torch

from corarec.errors import TrainingError
from corarec.recommenders.residual import LEAST_SLOPE, Residual
from corarec.types import FloatArray


def fitted(scores: FloatArray, labels: list[int], answers: FloatArray) -> Residual:
    residual = Residual()
    residual.fit(scores, np.array(labels), answers)
    return residual


def test_before_training_it_is_a_rising_line_of_the_score() -> None:
    residual = fitted(np.array([1.0, 2, 3, 4]) * 100, [0, 1, 0, 1], np.array([-3.0, -5.0]))
    scores = torch.tensor([350.0, 150.0, 250.0])
    logits = residual(torch.tensor([9.0, -9.0, 0.0]), scores)
    assert logits[0] > logits[2] > logits[1]
    assert (logits[0] - logits[2]).item() == pytest.approx((logits[2] - logits[1]).item())
    assert logits[2].item() == pytest.approx(0, abs=1e-3)  # half of the rows are liked


def test_answers_are_measured_from_those_of_the_frozen_model() -> None:
    residual = fitted(np.zeros(4), [0, 1, 0, 1], np.array([-3.0, -5.0]))
    residual.gate.data.fill_(0.1)
    answers, scores = torch.tensor([-4.0, -3.0]), torch.zeros(2)
    middle, above = residual(answers, scores).tolist()
    assert middle == pytest.approx(0, abs=1e-6)
    assert above == pytest.approx(1)


def test_scores_that_run_against_the_labels_keep_their_order() -> None:
    """Whoever leaves a row out may score training rows against their labels."""
    residual = fitted(np.array([4.0, 3, 2, 1]), [0, 0, 1, 1], np.zeros(1))
    assert residual.slope.item() == pytest.approx(LEAST_SLOPE / np.std([1, 2, 3, 4]))


def test_scores_and_answers_that_are_all_the_same_are_no_division_by_zero() -> None:
    residual = fitted(np.full(4, 7.0), [0, 1, 1, 1], np.full(3, 2.0))
    assert torch.isfinite(residual(torch.tensor([2.0]), torch.tensor([7.0]))).all()


def test_scores_that_are_not_finite_are_named() -> None:
    with pytest.raises(TrainingError, match="the score nan to training row 1"):
        fitted(np.array([0.0, np.nan]), [0, 1], np.zeros(1))

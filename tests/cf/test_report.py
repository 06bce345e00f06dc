import numpy as np
import pytest

from corarec.cf.report import auc
from corarec.errors import TrainingError


def test_auc_counts_ties_half() -> None:
    assert auc(np.array([0, 1, 1]), np.array([1.0, 1.0, 2.0])) == pytest.approx(0.75)


def test_an_auc_of_scores_that_are_not_finite() -> None:
    with pytest.raises(TrainingError, match="1 of 3 scores are not finite"):
        auc(np.array([0, 1, 1]), np.array([0.5, np.nan, 1.0]))

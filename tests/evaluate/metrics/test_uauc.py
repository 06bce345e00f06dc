import numpy as np
import pytest

from corarec.evaluate.metrics import MetricRows
from corarec.evaluate.metrics.uauc import Uauc


def test_a_draw_is_the_mean_over_the_drawn_users_with_both_labels() -> None:
    # User 0: perfect (1). User 1: reversed (0). User 2 has one label.
    rows = MetricRows(
        np.array([0, 0, 1, 1, 2]), np.array([1, 0, 1, 0, 1]), np.array([2.0, 1, 1, 2, 5])
    )
    uauc = Uauc().of(rows)
    assert uauc.value == 0.5
    drawn = uauc.drawn(np.array([[1.0, 3, 0], [1, 1, 0], [1, 0, 3]]))
    assert drawn[:2] == pytest.approx([0.5, 0.75])
    assert np.isnan(drawn[2])

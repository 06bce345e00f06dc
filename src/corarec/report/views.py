"""From a table of scores to the few points that its figures draw."""

import numpy as np
from scipy.special import expit

from corarec.errors import DataError
from corarec.evaluate.metrics import UserAucs, auc, user_aucs
from corarec.evaluate.rows import check_table
from corarec.report.data import ReliabilityBin, ScoreView
from corarec.types import FloatArray, IntArray, ScoreTable

_Z_95 = 1.959964
_MAX_ROC_POINTS = 200


def view_scores(
    table: ScoreTable, name: str, *, logits: bool = True, bins: int = 10, user_bins: int = 20
) -> ScoreView:
    """Reduce scores to a ROC curve, a reliability diagram and a histogram of users' AUCs.

    Parameters
    ----------
    table
        Scores with both labels.
    name
        What the system is called in figures.
    logits
        Whether the sigmoid of a score is a probability; without, there is no reliability.
    bins
        Bins of the reliability diagram, each with about as many rows.
    user_bins
        Bins of the histogram, of equal width.

    Raises
    ------
    DataError
        A score is not finite, a label is not 0 or 1, or only one label occurs.
    """
    check_table(table, name)
    value = auc(table.labels, table.scores)
    if value is None:
        raise DataError(
            f"The rows of {name} have one label only; a ROC curve needs both. Check the threshold."
        )
    users = user_aucs(table.user_ids, table.labels, table.scores)
    reliability = reliability_bins(table.labels, expit(table.scores), bins) if logits else []
    return ScoreView(
        name=name,
        auc=value,
        uauc=users.mean,
        roc=roc_points(table.labels, table.scores),
        reliability=reliability,
        calibration_error=_calibration_error(reliability),
        user_auc_counts=_histogram(users, user_bins),
    )


def roc_points(labels: IntArray, scores: FloatArray) -> list[tuple[float, float]]:
    """Return the ROC curve, from (0, 0) to (1, 1), thinned evenly along the rows.

    Rows with equal scores make one straight step, so the area under the unthinned curve is the AUC
    in which ties count half.
    """
    order = np.argsort(-scores, kind="stable")
    hits = np.concatenate([[0], np.cumsum(labels[order])])
    rows = np.arange(len(hits))
    last_of_value = np.append(scores[order][1:] != scores[order][:-1], True)
    corners = np.flatnonzero(np.concatenate([[True], last_of_value]))
    if len(corners) > _MAX_ROC_POINTS:
        wanted = np.linspace(0, len(rows) - 1, _MAX_ROC_POINTS)
        corners = np.unique(corners[np.searchsorted(corners, wanted)])
    misses = rows - hits
    false_rate, true_rate = misses[corners] / misses[-1], hits[corners] / hits[-1]
    return list(zip(false_rate.tolist(), true_rate.tolist(), strict=True))


def reliability_bins(
    labels: IntArray, probabilities: FloatArray, bins: int
) -> list[ReliabilityBin]:
    """Compare predicted with observed in bins of about equally many rows."""
    order = np.argsort(probabilities, kind="stable")
    result = []
    for rows in np.array_split(order, min(bins, len(order))):
        observed = float(labels[rows].mean())
        low, high = wilson_interval(observed, len(rows))
        result.append(
            ReliabilityBin(
                predicted=float(probabilities[rows].mean()),
                observed=observed,
                low=low,
                high=high,
                rows=len(rows),
            )
        )
    return result


def wilson_interval(share: float, rows: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a share of `rows` rows."""
    squared = _Z_95**2 / rows
    center = (share + squared / 2) / (1 + squared)
    half = (_Z_95 / (1 + squared)) * np.sqrt(share * (1 - share) / rows + squared / (4 * rows))
    return max(0.0, float(center - half)), min(1.0, float(center + half))


def _calibration_error(bins: list[ReliabilityBin]) -> float | None:
    if not bins:
        return None
    rows = sum(one.rows for one in bins)
    return sum(one.rows * abs(one.predicted - one.observed) for one in bins) / rows


def _histogram(users: UserAucs, bins: int) -> list[int]:
    counts, _ = np.histogram(users.values, bins=bins, range=(0.0, 1.0))
    return [int(count) for count in counts]

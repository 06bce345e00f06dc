"""From a table of scores to the few points that its figures draw."""

from collections.abc import Sequence

import numpy as np
from scipy.special import expit

from corarec.errors import DataError
from corarec.evaluate.metrics import UserAucs, auc, user_aucs
from corarec.evaluate.metrics.ece import Ece
from corarec.evaluate.rows import check_same_rows, check_table
from corarec.report.data import Distribution, ReliabilityBin, ScoreView, UserDifferences
from corarec.types import FloatArray, IntArray, ScoreTable

_Z_95 = 1.959964
_MAX_ROC_POINTS = 200
_MAX_USER_POINTS = 400
_SCORE_BINS = 30
_ROUNDING = 1e-12
"""Smaller differences come from the order of summation: they are zero."""


def view_scores(table: ScoreTable, name: str, *, user_bins: int = 20) -> ScoreView:
    """Reduce scores to what their figures draw.

    Where all rows have one label there is no ROC curve, and where scores are not logits no
    reliability diagram.

    Parameters
    ----------
    table
        Scores beside their labels.
    name
        What the system is called in figures.
    user_bins
        Bins of the histogram of users, of equal width.

    Raises
    ------
    DataError
        There are no rows, a score is not finite, or a label is not 0 or 1.
    """
    if not len(table):
        raise DataError(f"There are no scores of {name} to draw. Is the split empty?")
    check_table(table, name)
    value = auc(table.labels, table.scores)
    users = user_aucs(table.user_ids, table.labels, table.scores)
    reliability = reliability_bins(table.labels, expit(table.scores)) if table.logits else []
    return ScoreView(
        name=name,
        auc=value,
        uauc=users.mean,
        roc=[] if value is None else roc_points(table.labels, table.scores),
        reliability=reliability,
        calibration_error=calibration_error(reliability),
        user_auc_counts=_histogram(users, user_bins),
        distribution=distribution(table),
    )


def distribution(table: ScoreTable, bins: int = _SCORE_BINS) -> Distribution:
    """Count the rows of each label by score, as probabilities where the scores are logits."""
    values, reach = table.scores, (float(table.scores.min()), float(table.scores.max()))
    if table.logits:
        values, reach = expit(table.scores), (0.0, 1.0)
    edges = np.histogram_bin_edges(values, bins, reach)
    enjoyed, not_enjoyed = (
        np.histogram(values[table.labels == label], edges)[0].tolist() for label in (1, 0)
    )
    return Distribution(
        edges=edges.tolist(),
        enjoyed=enjoyed,
        not_enjoyed=not_enjoyed,
        probability=table.logits,
    )


def user_differences(
    first: Sequence[ScoreTable], second: Sequence[ScoreTable], names: tuple[str, str]
) -> UserDifferences:
    """Subtract the AUCs within each user, those of the means over seeds where there are several.

    Parameters
    ----------
    first, second
        One table per seed, all over the same rows.

    Raises
    ------
    DataError
        They are not over the same rows, a score is not finite, or a label is not 0 or 1.
    """
    for name, tables in zip(names, (first, second), strict=True):
        for table in tables:
            check_table(table, name)
            check_same_rows(first[0], table, names[0], name)
    left, right = (
        [user_aucs(one.user_ids, one.labels, one.scores) for one in side]
        for side in (first, second)
    )
    values = np.mean([one.values for one in left], axis=0)
    values = -np.sort(-(values - np.mean([one.values for one in right], axis=0)))
    values[np.abs(values) < _ROUNDING] = 0.0
    count = len(values)
    shown = np.unique(np.linspace(0, max(count - 1, 0), _MAX_USER_POINTS).round().astype(int))
    users = len(np.unique(first[0].user_ids))
    return UserDifferences(
        first=names[0],
        second=names[1],
        curve=[((n + 0.5) / count, float(values[n])) for n in shown.tolist() if count],
        better=int((values > 0).sum()),
        equal=int((values == 0).sum()),
        worse=int((values < 0).sum()),
        left_out=users - count,
        mean=float(values.mean()) if count else None,
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
    labels: IntArray, probabilities: FloatArray, bins: int = Ece.bins
) -> list[ReliabilityBin]:
    """Compare predicted with observed in bins of equal width, as ECE has them.

    One holds its lower end, the last both its ends; empty ones are left out.
    """
    bin_of_row = np.minimum((probabilities * bins).astype(np.int64), bins - 1)
    result = []
    for number in np.unique(bin_of_row):
        rows = bin_of_row == number
        observed = float(labels[rows].mean())
        low, high = wilson_interval(observed, int(rows.sum()))
        result.append(
            ReliabilityBin(
                # A mean of many equal numbers may lie above them by a rounding.
                predicted=min(1.0, float(probabilities[rows].mean())),
                observed=observed,
                low=low,
                high=high,
                rows=int(rows.sum()),
            )
        )
    return result


def wilson_interval(share: float, rows: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a share of `rows` rows."""
    squared = _Z_95**2 / rows
    center = (share + squared / 2) / (1 + squared)
    half = (_Z_95 / (1 + squared)) * np.sqrt(share * (1 - share) / rows + squared / (4 * rows))
    return max(0.0, float(center - half)), min(1.0, float(center + half))


def calibration_error(bins: Sequence[ReliabilityBin]) -> float | None:
    """Return the ECE of the bins; None where there are none."""
    if not bins:
        return None
    rows = sum(one.rows for one in bins)
    return sum(one.rows * abs(one.predicted - one.observed) for one in bins) / rows


def _histogram(users: UserAucs, bins: int) -> list[int]:
    counts, _ = np.histogram(users.values, bins=bins, range=(0.0, 1.0))
    return [int(count) for count in counts]

"""The user's last rows: mean residuals over the last few, the last minutes, and fading."""

import numpy as np
from scipy.signal import lfilter

from corarec.cf.counting.rows import Asked, KnownRows
from corarec.types import FloatArray

LAST = (1, 3, 5, 10, 20)
SECONDS = (1_800, 86_400)
FADING = 0.93
PRIOR_ROWS = 3.0
NAMES = (
    *(f"last {count} rows" for count in LAST),
    "last 30 minutes",
    "last day",
    "fading",
)


def recent(rows: KnownRows, residuals: FloatArray, asked: Asked) -> FloatArray:
    """Return the mean residuals of the user's last known rows: [Q, 8], see `NAMES`.

    `residuals: [N]`. All with `PRIOR_ROWS` rows of residual 0 but those of the last few rows.
    """
    starts, ends = rows.ranges(asked.users, asked.until)
    sums = np.concatenate([[0.0], np.cumsum(residuals)])
    columns = []
    for count in LAST:
        low = np.maximum(starts, ends - count)
        columns.append((sums[ends] - sums[low]) / np.maximum(ends - low, 1))
    for seconds in SECONDS:
        since = np.where(asked.until > np.iinfo(np.int64).max // 2, _last_time(rows, ends), 0)
        since = np.where(since > 0, since, asked.until) - seconds
        low = np.maximum(starts, rows.ranges(asked.users, since)[1])
        columns.append((sums[ends] - sums[low]) / (ends - low + PRIOR_ROWS))
    columns.append(_fading(residuals, starts, ends))
    return np.stack(columns, axis=1)


def _last_time(rows: KnownRows, ends: np.ndarray) -> np.ndarray:
    """Return the time of the last known row where nobody says what time it is: [Q]."""
    return rows.times[np.maximum(ends - 1, 0)] + 1 if len(rows) else np.zeros(len(ends), np.int64)


def _fading(residuals: FloatArray, starts: np.ndarray, ends: np.ndarray) -> FloatArray:
    """Return the means with weights `0.93^age`, age in rows: [Q]."""
    faded = np.concatenate([[0.0], lfilter([1.0], [1.0, -FADING], residuals)])
    length = ends - starts
    decay = FADING ** length.astype(np.float64)
    total = faded[ends] - decay * faded[starts]
    return np.asarray(total / ((1 - decay) / (1 - FADING) + PRIOR_ROWS))

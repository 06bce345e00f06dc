"""Intervals of a measure and paired tests against the untouched model."""

import numpy as np
from scipy.stats import binomtest

from corarec.ability.measured import Measure, Values
from corarec.evaluate.bootstrap import BootstrapConfig
from corarec.evaluate.result import Difference, Estimate
from corarec.types import FloatArray

FLIPS = 9_999
"""Draws of a test by changed signs."""
_BYTES_PER_CHUNK = 32 * 2**20


def estimate(measure: Measure, values: Values, config: BootstrapConfig) -> Estimate:
    """Return a measure with its interval: Wilson's of a share, else a bootstrap over examples."""
    if measure.sort == "share":
        right, count = int(values.values.sum()), len(values.values)
        interval = binomtest(right, count).proportion_ci(config.level, method="wilson")
        return Estimate(value=right / count, low=float(interval.low), high=float(interval.high))
    sizes = _sizes(values)
    low, high = _bootstrap(values.values, sizes, config)
    return Estimate(value=float(values.values.sum() / sizes.sum()), low=low, high=high)


def paired(
    measure: Measure, values: Values, untouched: Values, config: BootstrapConfig
) -> Difference:
    """Test a measure against that of the untouched model on the same examples.

    A share by McNemar's exact test, all else by changing the signs of the examples' differences at
    random; the interval is a bootstrap over examples.
    """
    differences = values.values - untouched.values
    sizes = _sizes(values)
    low, high = _bootstrap(differences, sizes, config)
    if measure.sort == "share":
        changed = int(np.count_nonzero(differences))
        better = int(np.count_nonzero(differences > 0))
        p_value = binomtest(better, changed).pvalue if changed else 1.0
        draws = None
    else:
        p_value, draws = _flipped(differences, config.seed), FLIPS
    return Difference(
        value=float(differences.sum() / sizes.sum()),
        low=low,
        high=high,
        p_value=float(p_value),
        draws=draws,
    )


def _sizes(values: Values) -> FloatArray:
    return np.ones(len(values.values)) if values.sizes is None else values.sizes


def _bootstrap(
    values: FloatArray, sizes: FloatArray, config: BootstrapConfig
) -> tuple[float, float]:
    """Return the percentile interval of the ratio of sums, examples drawn with replacement."""
    generator = np.random.default_rng(config.seed)
    count = len(values)
    draws = np.empty(config.draws)
    step = max(1, _BYTES_PER_CHUNK // (8 * count))
    for first in range(0, config.draws, step):
        rows = generator.integers(0, count, size=(min(step, config.draws - first), count))
        draws[first : first + len(rows)] = values[rows].sum(axis=1) / sizes[rows].sum(axis=1)
    tail = (1 - config.level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


def _flipped(differences: FloatArray, seed: int) -> float:
    """Return the two-sided p-value of a sum under random signs."""
    found = np.abs(differences.sum())
    generator = np.random.default_rng(seed)
    extreme, count = 0, len(differences)
    step = max(1, _BYTES_PER_CHUNK // (8 * count))
    # What differs by rounding only, in the order of summation, counts as extreme.
    bound = found - 1e-9 * max(1.0, float(np.abs(differences).sum()))
    for first in range(0, FLIPS, step):
        size = min(step, FLIPS - first)
        signs = generator.integers(0, 2, size=(size, count), dtype=np.int8)
        sums = (2.0 * signs - 1.0) @ differences
        extreme += int(np.count_nonzero(np.abs(sums) >= bound))
    return (1 + extreme) / (1 + FLIPS)

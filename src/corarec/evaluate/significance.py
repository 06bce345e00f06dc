"""What a paired test says: p-values as far as the draws reach, corrected for how many there are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from corarec.evaluate.bootstrap import BootstrapConfig
from corarec.evaluate.result import Comparison, Difference


@dataclass(frozen=True)
class PValue:
    """A two-sided p-value, or the bound that is all that so many draws can say."""

    value: float
    at_most: bool = False
    """Whether no draw lies on the other side of zero, so that p may be smaller than `value`."""


def p_value(difference: Difference | None, bootstrap: BootstrapConfig) -> PValue | None:
    """Return the p-value of a test; None where there was nothing to test."""
    if difference is None:
        return None
    draws = bootstrap.draws if difference.draws is None else difference.draws
    return PValue(difference.p_value, difference.p_value <= least_p_value(draws) * (1 + 1e-9))


def least_p_value(draws: int) -> float:
    """Return the smallest p-value that so many draws can give."""
    return min(1.0, 2 / (draws + 1))


def holm(tests: Sequence[PValue | None]) -> list[PValue | None]:
    """Correct the p-values of one family by Holm's step-down method (1979).

    The smallest of `m` is multiplied by `m`, the next by `m - 1` and so on, and none falls below
    one before it. What comes of a bound is a bound. None stays None and does not count.
    """
    order = sorted((test.value, place) for place, test in enumerate(tests) if test is not None)
    corrected: list[PValue | None] = [None] * len(tests)
    largest = PValue(0.0)
    for rank, (value, place) in enumerate(order):
        test = tests[place]
        assert test is not None  # the others are not in the order
        product = min(1.0, value * (len(order) - rank))
        if product > largest.value:
            largest = PValue(product, test.at_most)
        corrected[place] = largest
    return corrected


def verdict(difference: Difference, corrected: PValue | None, bootstrap: BootstrapConfig) -> int:
    """Return 1 or -1 where a difference is above or below zero for sure, else 0.

    Its interval must not touch zero, to the last digit, and its corrected p-value must be no larger
    than one minus the level of the interval.
    """
    if corrected is None or corrected.value > 1 - bootstrap.level:
        return 0
    return int(np.sign(difference.low)) if difference.low * difference.high > 0 else 0


def corrected_p_values(
    comparisons: Sequence[Comparison],
) -> dict[tuple[str, str], list[PValue | None]]:
    """Correct the p-values by Holm, a family being the tests of one metric on one part.

    Returns
    -------
    (part, metric) -> one p-value per comparison, None where it has no such test.
    """
    families = dict.fromkeys(
        (part, metric)
        for comparison in comparisons
        for part, result in comparison.parts.items()
        for metric in result.metrics
    )
    return {
        (part, metric): holm(
            [
                p_value(result.metrics.get(metric), one.bootstrap)
                if (result := one.parts.get(part))
                else None
                for one in comparisons
            ]
        )
        for part, metric in families
    }

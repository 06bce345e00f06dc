"""Users folded into a space whose item side stays as it is: small penalised regressions."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from corarec.types import BoolArray, FloatArray

ROUNDS = 50
CLOSE = 1e-10
"""Newton's method ends where the gain is below this."""


@dataclass(frozen=True)
class Prior:
    """Where a user's numbers are expected, and how firmly: a Gaussian, each number by itself."""

    centre: FloatArray
    """[f]"""
    penalty: FloatArray
    """[f] one over the variance, above zero"""

    @classmethod
    def of(cls, vectors: FloatArray, least: float = 1e-3) -> "Prior":
        """Return that of fitted vectors [R, f], zero ones not counted.

        No variance is taken to be smaller than `least` times the mean square of all numbers.
        """
        known = vectors[np.abs(vectors).sum(1) > 0]
        width = vectors.shape[1]
        if not len(known):
            return cls(np.zeros(width), np.ones(width))
        floor = least * float(np.square(known).mean())
        return cls(known.mean(0), 1 / np.maximum(known.var(0), floor))

    def moved(self, by: FloatArray | float) -> "Prior":
        """Return it with another centre."""
        return Prior(self.centre + by, self.penalty)


@dataclass(frozen=True)
class Rows:
    """One user's rows as a logistic regression reads them: `z = offset + x . p`."""

    features: FloatArray
    """[n, f] float64"""
    offsets: FloatArray
    """[n]"""
    labels: FloatArray
    """[n] 0 or 1"""

    def take(self, some: BoolArray) -> "Rows":
        """Keep some of the rows."""
        return Rows(self.features[some], self.offsets[some], self.labels[some])


def solved(rows: Rows, prior: Prior) -> FloatArray:
    """Return the `p` with the smallest cross-entropy on the rows plus penalty: [f].

    `sum(BCE(offset + x . p, y)) + (p - centre)' diag(penalty) (p - centre) / 2`, which is convex.
    With fewer rows than numbers it is solved in as many unknowns as there are rows.
    """
    root = np.sqrt(prior.penalty)
    scaled = rows.features / root
    offsets = rows.offsets + rows.features @ prior.centre
    few = len(scaled) <= scaled.shape[1]
    basis = scaled @ scaled.T if few else scaled
    found = _newton(basis, offsets, rows.labels, few)
    return prior.centre + (scaled.T @ found if few else found) / root


def held_back(rows: Rows, prior: Prior, fitted: FloatArray) -> FloatArray:
    """Return by how much the centre moves so that `fitted` [f] solves its own rows: [f].

    A fit that was stopped early, or by another way, is then where folding in begins: without new
    rows its vector stays the same, and a new row moves it by as much as it says.
    """
    error = expit(rows.offsets + rows.features @ fitted) - rows.labels
    return fitted + (rows.features.T @ error) / prior.penalty - prior.centre


def _newton(basis: FloatArray, offsets: FloatArray, labels: FloatArray, few: bool) -> FloatArray:
    """Return the unknowns: of rows where there are few (`basis` is [n, n]), else of features."""
    found = np.zeros(basis.shape[1])
    loss = _loss(basis, offsets, labels, few, found)
    for _ in range(ROUNDS):
        rates = expit(offsets + basis @ found)
        error, weights = rates - labels, rates * (1 - rates)
        if few:
            # The gradient is basis (error + found), the Hessian basis (weights basis + 1).
            hessian = weights[:, None] * basis
            gradient = error + found
        else:
            hessian = (basis.T * weights) @ basis
            gradient = basis.T @ error + found
        hessian[np.diag_indices_from(hessian)] += 1
        step = np.linalg.solve(hessian, gradient)
        length = 1.0
        while True:
            tried = found - length * step
            after = _loss(basis, offsets, labels, few, tried)
            if after <= loss or length < 1e-6:
                break
            length /= 2
        gain, found, loss = loss - after, tried, after
        if gain <= CLOSE * max(1.0, abs(loss)):
            break
    return found


def _loss(
    basis: FloatArray, offsets: FloatArray, labels: FloatArray, few: bool, found: FloatArray
) -> float:
    products = basis @ found
    logits = offsets + products
    size = found @ products if few else found @ found
    return float((np.logaddexp(0, logits) - labels * logits).sum() + size / 2)

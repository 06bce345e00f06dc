"""A skip connection: the CF model's own score, to which the language model adds."""

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from corarec.errors import TrainingError
from corarec.types import FloatArray, IntArray

ANSWERS = 256
"""Training rows whose answers of the frozen model set the middle and the scale of answers."""
LEAST_SLOPE = 0.1
"""Of the logit in a deviation of the score: however badly scores of training rows fit their labels,
a higher one is never a lower logit."""
GATE_SPEED = 10.0
"""How much faster the weight of the answer moves than other parameters, which are many."""


class Residual(nn.Module):
    """`slope * score + offset + gate * (answer - middle) / spread`, of each pair.

    `score` is the CF model's, `answer` the language model's under the pair's increment. Slope and
    offset make a logit of the score, by the training rows; middle and spread are those of the
    frozen model's answers. The gate is trained and begins at zero, so that the order of pairs is
    the CF model's until something better is found.
    """

    slope: torch.Tensor
    offset: torch.Tensor
    middle: torch.Tensor
    spread: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Parameter(torch.zeros(()))
        for name, start in (("slope", 1.0), ("offset", 0.0), ("middle", 0.0), ("spread", 1.0)):
            self.register_buffer(name, torch.tensor(start))

    def fit(self, scores: FloatArray, labels: IntArray, answers: FloatArray) -> None:
        """Take slope and offset from training rows, two of [N], and the rest from answers: [M].

        Raises
        ------
        TrainingError
            A score of the CF model is not finite.
        """
        if not np.isfinite(scores).all():
            bad = int(np.flatnonzero(~np.isfinite(scores))[0])
            raise TrainingError(
                f"The CF model gives the score {scores[bad]} to training row {bad} of those to "
                "learn from, where system.residual: cf wants finite ones. Fit another CF model, or "
                "leave the residual out."
            )
        mean, deviation = scores.mean(), scores.std()
        deviation = deviation if deviation > 0 else 1.0
        standard = ((scores - mean) / deviation)[:, None]
        fitted = LogisticRegression().fit(standard, labels)
        slope = max(float(fitted.coef_[0, 0]), LEAST_SLOPE) / deviation
        self.slope.fill_(slope)
        self.offset.fill_(float(fitted.intercept_[0]) - slope * mean)
        self.middle.fill_(answers.mean())
        spread = float(np.std(answers))
        self.spread.fill_(spread if spread > 0 else 1.0)

    def forward(self, answers: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the logits of pairs by the answers and the CF scores: [B]."""
        said = (answers - self.middle) / self.spread
        return self.slope * scores + self.offset + GATE_SPEED * self.gate * said

"""What is added to the cross-entropy of single pairs."""

from typing import Annotated

import torch
from pydantic import Field
from torch.nn import functional

from corarec.types import Config


class LossConfig(Config):
    """Terms of the loss beside the cross-entropy of the answers."""

    pairwise: Annotated[float, Field(ge=0)] = 0.0
    """Weight of a term that sees one user's rows only: the logistic loss of the differences of
    logits between liked and disliked rows of a user in a batch. It trades AUC over all rows, of
    which much is between users, for the order within each user (UAUC)."""
    rows_per_user: Annotated[int, Field(ge=2)] = 4
    """How many rows of a user stand together in a batch, with `pairwise`; fewer where he has not so
    many."""


def within_users(logits: torch.Tensor, labels: torch.Tensor, users: torch.Tensor) -> torch.Tensor:
    """Return the mean of `log(1 + exp(disliked - liked))` over pairs of rows of one user: a scalar.

    All are [B]; without such pairs it is 0.
    """
    liked_more = (users[:, None] == users) & (labels[:, None] > labels)
    differences = (logits[:, None] - logits)[liked_more]
    if not len(differences):
        return logits.sum() * 0
    return functional.softplus(-differences).mean()

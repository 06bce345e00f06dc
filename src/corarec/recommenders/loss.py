"""What is added to the cross-entropy of single pairs."""

from typing import Annotated, Self

import torch
from pydantic import Field, model_validator
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
    negatives: Annotated[int, Field(ge=0, le=1000)] = 0
    """Learn to rank: the examples are the liked rows, each with so many items that were drawn for
    it, once and for all, and that share its prompt up to the title. What was logged as not liked is
    left out, and validation is the AUC of liked rows beside drawn items. A batch size that
    `negatives + 1` divides keeps them together; `activation: title` reads their prompt once. 0:
    learn from the logged labels. With `pairwise`, a liked row is compared with its own items."""
    popularity: Annotated[float, Field(ge=0, le=2)] = 0.75
    """Items are drawn by their likes in train, plus one, to this power: 0 is uniform."""
    negatives_seed: Annotated[int, Field(ge=0)] = 0
    """Of the draw."""
    listwise: bool = False
    """With `negatives`: in place of the cross-entropy of each answer that of the liked row among
    its list (a softmax). The scores then put items in order and are no probabilities."""

    @model_validator(mode="after")
    def _lists_have_negatives(self) -> Self:
        if self.listwise and not self.negatives:
            raise ValueError("listwise needs items beside the liked one: set negatives, such as 4")
        return self

    @property
    def compares(self) -> bool:
        """Whether it needs the logits of pairs."""
        return self.pairwise > 0 or self.negatives > 0


def among_lists(logits: torch.Tensor, labels: torch.Tensor, lists: torch.Tensor) -> torch.Tensor:
    """Return the mean over liked rows of `-log softmax` among the rows of their list: a scalar.

    All are [B]; without liked rows it is 0.
    """
    liked = labels == 1
    if not liked.any():
        return logits.sum() * 0
    same = lists[liked][:, None] == lists
    masses = torch.where(same, logits, -torch.inf).logsumexp(dim=1)
    return (masses - logits[liked]).mean()


def within_users(logits: torch.Tensor, labels: torch.Tensor, users: torch.Tensor) -> torch.Tensor:
    """Return the mean of `log(1 + exp(disliked - liked))` over pairs of rows of one user: a scalar.

    All are [B]; without such pairs it is 0.
    """
    liked_more = (users[:, None] == users) & (labels[:, None] > labels)
    differences = (logits[:, None] - logits)[liked_more]
    if not len(differences):
        return logits.sum() * 0
    return functional.softplus(-differences).mean()

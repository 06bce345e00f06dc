"""Systems that give one logit per pair and learn it from logged labels."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from corarec.cf.report import auc
from corarec.data import Dataset
from corarec.errors import ConfigError
from corarec.recommenders.base import Recommender, TrainingData, Validate
from corarec.recommenders.loss import among_lists, within_users
from corarec.recommenders.negatives import Lists, lists_of
from corarec.score.batches import Batch, Examples, batched, score_batches
from corarec.types import IntArray, Pairs


@dataclass
class LabelledExamples:
    """Inputs of pairs beside their labels."""

    inputs: Examples
    labels: IntArray
    """[N] 0 or 1"""
    users: IntArray | None = None
    """[N], where the loss compares the rows of a user, or of a list"""
    rows_per_user: int = 1
    """How many of these should stand together in a batch."""

    def __post_init__(self) -> None:
        self.lengths: IntArray = self.inputs.lengths
        self._labels = torch.from_numpy(self.labels).float()

    def __len__(self) -> int:
        return len(self.inputs)

    def batch(self, rows: IntArray) -> Batch:
        """Add `labels` [B], and `users` [B] where they are wanted, to the tensors of the pairs."""
        batch = {**self.inputs.batch(rows), "labels": self._labels[torch.from_numpy(rows)]}
        if self.users is not None:
            batch["users"] = torch.from_numpy(self.users[rows])
        return batch


class PointwiseRecommender(Recommender):
    """A system that predicts whether users enjoy items, pair by pair."""

    metric = "auc"

    @classmethod
    def check(cls, data: TrainingData) -> None:
        """See that both labels are there, to learn from and to choose by."""
        for what, rows, advice in data.parts:
            labels = np.unique(data.dataset.labels(rows))
            if len(labels) < 2:
                raise ConfigError(
                    f"The {len(rows)} {what} rows have the labels {labels.tolist()}, where both 0 "
                    f"and 1 are wanted. {advice}"
                )

    @abstractmethod
    def inputs(self, pairs: Pairs, new_titles: Sequence[str] = ()) -> Examples:
        """Gather whatever the system needs to know of `pairs`.

        Parameters
        ----------
        new_titles
            Titles of items that are not in the catalogue of `I` items: id `I + 1` is the first.
        """

    @abstractmethod
    def logits(self, **batch: torch.Tensor) -> torch.Tensor:
        """Return the logit of "the user enjoys the item": [B]."""

    def training_logits(self, **batch: torch.Tensor) -> torch.Tensor:
        """Return the logits that the loss is made of: [B]; where they can be had for less work."""
        return self.logits(**batch)

    def scoring_logits(self, **batch: torch.Tensor) -> torch.Tensor:
        """Return the logits, up to rounding, where nothing else is asked for: [B]."""
        return self.logits(**batch)

    def examples(self, data: TrainingData) -> LabelledExamples:
        """Return the training pairs with their labels."""
        rows, loss = data.train_rows, self.phase.loss
        if loss.negatives:
            drawn = self._lists(data.dataset, rows)
            inputs = self.inputs(drawn.pairs)
            return LabelledExamples(inputs, drawn.labels, drawn.lists, loss.negatives + 1)
        pairs = data.dataset.pairs(rows)
        labelled = LabelledExamples(self.inputs(pairs), data.dataset.labels(rows))
        if loss.pairwise > 0:
            labelled.users, labelled.rows_per_user = pairs.user_ids, loss.rows_per_user
        return labelled

    @property
    def splits_batches(self) -> bool:
        """Whether a batch can be shared among processes: where the loss is the one made here."""
        return type(self).forward is PointwiseRecommender.forward

    def forward(self, **batch: torch.Tensor) -> torch.Tensor:
        """Return the mean binary cross-entropy of the logits and what is added to it: a scalar."""
        labels, users = self.gathered(batch.pop("labels")), batch.pop("users", None)
        logits = self.gathered(self.training_logits(**batch).float())
        chosen = self.phase.loss
        users = users if users is None else self.gathered(users)
        if users is not None and chosen.listwise:
            loss = among_lists(logits, labels, users)
        else:
            loss = functional.binary_cross_entropy_with_logits(logits, labels)
        if users is not None and chosen.pairwise > 0:
            loss = loss + chosen.pairwise * within_users(logits, labels, users)
        return loss

    def validation(self, data: TrainingData) -> Validate:
        """Return what computes the AUC on the validation rows."""
        rows = data.valid_rows
        if self.phase.loss.negatives:
            drawn = self._lists(data.dataset, rows)
            return PairValidation(self, drawn.pairs, drawn.labels)
        return PairValidation(self, data.dataset.pairs(rows), data.dataset.labels(rows))

    def _lists(self, dataset: Dataset, rows: IntArray) -> Lists:
        loss = self.phase.loss
        return lists_of(dataset, rows, loss.negatives, loss.popularity, loss.negatives_seed)


class PairValidation:
    """AUC on fixed pairs. Their batches are made once and kept: nothing of them changes.

    A prompt of `T` tokens (with its padding) takes `16 T` bytes: its ids and its mask, int64 both;
    CF vectors of `d` numbers take another `8 d`.
    """

    def __init__(self, recommender: PointwiseRecommender, pairs: Pairs, labels: IntArray) -> None:
        self._recommender = recommender
        self._pairs = pairs
        self._labels = labels
        self._batches = list(batched(recommender.inputs(pairs)))

    def __call__(self) -> dict[str, float]:
        """Score the pairs with the recommender as it stands."""
        scores = score_batches(self._recommender, self._batches, self._pairs)
        return {"auc": auc(self._labels, scores)}

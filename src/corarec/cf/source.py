"""`VectorSource`: a fitted CF model as everything behind it may see it."""

from pathlib import Path

import numpy as np

from corarec.cf.base import CFModel, check_knowledge, not_fitted
from corarec.cf.data import TrainingPairs
from corarec.cf.fit import seen_rows
from corarec.cf.vectors import VectorFamily, VectorTable
from corarec.data.dataset import Dataset
from corarec.types import FloatArray, Log, Pairs


class VectorSource:
    """A fitted CF model with the dataset that it belongs to; without it where no row is asked for.

    Whoever reads vectors passes plain pairs. Which of them took part in the fit, and with which
    label, is known here alone, so that a model that leaves a pair's own label out does so for
    exactly these, and no reader can see a label by mistake.

    Parameters
    ----------
    log
        The rows whose labels may be known, where there is no dataset to take them from.

    Raises
    ------
    ArtifactError
        The model was fitted under another knowledge policy than the dataset's.
    TrainingError
        The model has not been fitted.
    ValueError
        Rows of a dataset are asked for, and there is none.
    """

    def __init__(self, model: CFModel, dataset: Dataset | None, log: Log | None = None) -> None:
        if model.report is None:
            raise not_fitted(model)
        self.model = model
        self._own_labels: FloatArray | None = None
        self._log = log
        if dataset is not None:
            check_knowledge(model, Path("use"), dataset.policy)
            if dataset.policy.policy != "train":
                self._log = dataset.log
            labels = dataset.labels(np.arange(len(dataset))).astype(np.float64)
            self._own_labels = np.where(seen_rows(dataset, model.report), labels, np.nan)

    @property
    def name(self) -> str:
        """The registry name of the model."""
        return self.model.name

    @property
    def vector_size(self) -> int:
        """`d`, the size of one user's and of one item's vector."""
        return self.model.vector_size

    @property
    def match_size(self) -> int:
        """`p`, how many numbers the vectors say of user and item together."""
        return self.model.match_size

    @property
    def families(self) -> tuple[VectorFamily, ...]:
        """What the vectors are made up of; none where they are of one piece."""
        return self.model.families

    def vector_table(self, pairs: Pairs) -> VectorTable:
        """Return the vectors of every pair, each distinct vector once."""
        return self.model.vector_table(self.known(pairs))

    def score(self, pairs: Pairs) -> FloatArray:
        """Return the model's own logits that the user enjoys the item: [N]."""
        return self.model.score(self.known(pairs))

    def known(self, pairs: Pairs) -> Pairs:
        """Return the pairs with what their model may see beside them; for it alone."""
        pairs = pairs.for_cf
        if pairs.rows is None:
            if self._log is None:
                return pairs
            return TrainingPairs.of(pairs, np.full(len(pairs), np.nan), self._log)
        if self._own_labels is None:
            raise ValueError(
                "These pairs are rows of a dataset, and this CF model has none beside it, so which "
                "of them it was fitted on is not known. Open it with the dataset."
            )
        return TrainingPairs.of(pairs, self._own_labels[pairs.rows], self._log)

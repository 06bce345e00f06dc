"""`VectorSource`: a fitted CF model as everything behind it may see it."""

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import numpy as np

from corarec.arrays import distinct
from corarec.cf.base import CFModel, check_knowledge, not_fitted
from corarec.cf.data import TrainingPairs
from corarec.cf.feedback import LiveFeedback
from corarec.cf.fit import seen_rows
from corarec.cf.vectors import VectorFamily, VectorTable
from corarec.data.dataset import Dataset
from corarec.errors import ArtifactError
from corarec.types import FloatArray, Log, Pairs

KEPT = 256
"""Groups of users whose folded vectors are kept."""
KEPT_USERS = 1_024
"""Users of these groups in all; a group that has more is kept alone. One user's regression takes
`f x f` numbers."""


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
        self._live: LiveFeedback | None = None
        self._knowing: OrderedDict[tuple[bytes, bytes], CFModel] = OrderedDict()
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
    def reads_history(self) -> bool:
        """Whether it knows of a person what the history of a pair says, and no more."""
        return self.model.takes == "history"

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
        return self.model_for(pairs).vector_table(self.known(pairs))

    def score(self, pairs: Pairs) -> FloatArray:
        """Return the model's own logits that the user enjoys the item: [N]."""
        return self.model_for(pairs).score(self.known(pairs))

    def follow(self, live: LiveFeedback | None) -> None:
        """From now on know what a service knows of the users whom pairs ask about; None: no more.

        A source that follows serves one thread. Rows of the dataset are still as they were fitted.
        """
        self._live = live
        self._knowing.clear()

    def swap(self, model: CFModel) -> None:
        """Take another model of the same space, such as one that `extended` returned.

        Raises
        ------
        ArtifactError
            Its vectors are not like those of the present one.
        """
        before, after = self.model, model
        if (before.name, before.vector_size, before.match_size) != (
            after.name,
            after.vector_size,
            after.match_size,
        ):
            raise ArtifactError(
                f"A '{after.name}' CF model with vectors of {after.vector_size} numbers came in "
                f"place of a '{before.name}' with {before.vector_size}, and the system was trained "
                "on the latter. Make one with `corarec refresh`."
            )
        self.model = model
        self._knowing.clear()

    def model_for(self, pairs: Pairs) -> CFModel:
        """Return the model as it answers for these pairs: with what was fed back of their users."""
        pairs = pairs.for_cf
        if self._live is None or pairs.rows is not None or self.model.takes != "rows":
            return self.model
        users = self._live.changed(distinct(pairs.user_ids))
        if not len(users):
            return self.model
        key = users.tobytes(), self._live.versions(users).tobytes()
        if key not in self._knowing:
            self._knowing[key] = self.model.knowing(self._live.feedback(users))
            while len(self._knowing) > KEPT or (
                len(self._knowing) > 1 and self._num_kept() > KEPT_USERS
            ):
                self._knowing.popitem(last=False)
        self._knowing.move_to_end(key)
        return self._knowing[key]

    def _num_kept(self) -> int:
        return sum(len(users) for users, _ in self._knowing) // np.dtype(np.int64).itemsize

    def known(self, pairs: Pairs) -> Pairs:
        """Return the pairs with what their model may see beside them; for it alone."""
        pairs = pairs.for_cf
        if pairs.rows is None:
            log = self._log
            if self._live is not None and (followed := self._live.log()) is not None:
                log = followed
                if pairs.known_until is None:
                    pairs = replace(pairs, known_until=np.full(len(pairs), self._live.now))
            if log is None:
                return pairs
            return TrainingPairs.of(pairs, np.full(len(pairs), np.nan), log)
        if self._own_labels is None:
            raise ValueError(
                "These pairs are rows of a dataset, and this CF model has none beside it, so which "
                "of them it was fitted on is not known. Open it with the dataset."
            )
        return TrainingPairs.of(pairs, self._own_labels[pairs.rows], self._log)

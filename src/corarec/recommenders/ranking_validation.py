"""Validations of systems that learn no labels of pairs: how they rank the catalogue, and a loss."""

import numpy as np
import torch
from scipy.sparse import csr_array

from corarec.errors import ConfigError
from corarec.evaluate import RankingConfig, rank_users
from corarec.recommenders.base import Recommender, TrainingData
from corarec.score.batches import Examples
from corarec.score.context import Context
from corarec.score.scorer import CatalogueSystem, Scorer
from corarec.types import FloatArray, IntArray

RECALLS, GAIN = (20, 40), 100
LOSS_SAMPLE = 256


class RankingValidation:
    """Recall@20 + Recall@40 + NDCG@100 of the items that users like in the validation rows.

    Recall is divided by what its places can hold, as CLLM4Rec counts. A user is asked for with all
    that was known before the user's first validation row; what was seen in train is left out.

    Raises
    ------
    ConfigError
        Nobody likes anything there that is not known from train.
    """

    metric = "ranking"

    def __init__(self, system: CatalogueSystem, data: TrainingData) -> None:
        dataset = data.dataset
        self._scorer = Scorer(system)
        valid, train = dataset.pairs(data.valid_rows), dataset.pairs("train")
        liked = dataset.labels(data.valid_rows) == 1
        shape = (dataset.num_users + 1, dataset.num_items + 1)
        self._seen = _marks(train.user_ids, train.item_ids, shape)
        self._relevant = _marks(valid.user_ids[liked], valid.item_ids[liked], shape)
        self._users = np.unique(valid.user_ids[liked])
        rows = dataset.rows("valid")
        users, first = np.unique(dataset.pairs(rows).user_ids, return_index=True)
        histories = dataset.timeline.before_rows(rows[first])
        self._contexts = {
            int(users[n]): Context(int(users[n]), histories[n])
            for n in np.flatnonzero(np.isin(users, self._users)).tolist()
        }
        unseen = self._relevant - self._relevant.multiply(self._seen)
        if not unseen.sum():
            raise ConfigError(
                f"No user likes an item in the {len(data.valid_rows)} validation rows that the "
                "user has not met in train, and such items choose the best weights. Raise "
                "train.validation_rows, or prepare the data with another split."
            )

    def __call__(self) -> dict[str, float]:
        """Rank with the system as it stands."""
        config = RankingConfig(cutoffs=(*RECALLS, GAIN))
        ranked = rank_users(self._score, self._users, self._seen, self._relevant, config)
        names = [*(f"capped_recall@{cutoff}" for cutoff in RECALLS), f"ndcg@{GAIN}"]
        values = {name: float(ranked.metrics[name].mean()) for name in names}
        return {self.metric: sum(values.values()), **values}

    def _score(self, user_ids: IntArray) -> FloatArray:
        return self._scorer.score_catalogue([self._contexts[user] for user in user_ids.tolist()])


def _marks(rows: IntArray, columns: IntArray, shape: tuple[int, int]) -> csr_array:
    both = np.unique(np.stack([rows, columns], axis=1), axis=0)
    return csr_array((np.ones(len(both), dtype=np.int64), (both[:, 0], both[:, 1])), shape=shape)


class SampleLoss:
    """The loss on a fixed sample of the training examples, in evaluation mode."""

    metric = "loss"

    def __init__(self, system: Recommender, examples: Examples) -> None:
        rows = np.arange(len(examples))
        if len(rows) > LOSS_SAMPLE:
            rows = np.sort(np.random.default_rng(0).choice(rows, LOSS_SAMPLE, replace=False))
        self._system = system
        self._batches = [examples.batch(part) for part in np.array_split(rows, -(-len(rows) // 32))]

    def __call__(self) -> dict[str, float]:
        """Return the loss of the system as it stands."""
        with torch.inference_mode():
            losses = [
                float(self._system(**{k: v.to(self._system.device) for k, v in batch.items()}))
                for batch in self._batches
            ]
        return {self.metric: float(np.mean(losses))}

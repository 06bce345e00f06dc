"""Prompts beside the numbers of their users and items, for systems with an embedding per id."""

from dataclasses import dataclass

import numpy as np
import torch

from corarec.recommenders.llm import PromptInputs
from corarec.score.batches import Batch
from corarec.types import IntArray


@dataclass
class IdInputs(PromptInputs):
    """Prompts beside the numbers of their users and items."""

    num_users: int = 0
    num_items: int = 0

    def batch(self, rows: IntArray) -> Batch:
        """Add `user_ids` and `item_ids`, both [B], 0 for whoever is not in the dataset."""
        ids = {}
        for name, values, known in (
            ("user_ids", self.pairs.for_cf.user_ids[rows], self.num_users),
            ("item_ids", self.pairs.for_cf.item_ids[rows], self.num_items),
        ):
            ids[name] = torch.from_numpy(np.where(values <= known, values, 0))
        return {**super().batch(rows), **ids}

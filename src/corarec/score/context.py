"""One context, many items: what is known of somebody, asked about any items."""

from dataclasses import dataclass, field

import numpy as np

from corarec.types import Histories, IntArray, Pairs


@dataclass(frozen=True)
class Context:
    """What is known of one person at one moment; everything that the candidates share."""

    user_id: int
    """0 for somebody new"""
    liked: IntArray
    """liked items, oldest first"""
    disliked: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    """items that the person did not like, oldest first"""

    def pairs(self, item_ids: IntArray) -> Pairs:
        """Return the pairs of this person and the items: [N]."""
        count = len(item_ids)
        return Pairs(
            np.full(count, self.user_id),
            item_ids,
            Histories.repeated(self.liked, count),
            disliked=Histories.repeated(self.disliked, count),
        )

"""One context, many items: what is known of somebody, asked about any items."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from corarec.types import FloatArray, Histories, IntArray, Pairs


@dataclass(frozen=True)
class Context:
    """What is known of one person at one moment; everything that the candidates share."""

    user_id: int
    """0 for somebody new"""
    liked: IntArray
    """liked items, oldest first"""
    disliked: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    """items that the person did not like, oldest first"""
    liked_stars: FloatArray | None = None
    """how many stars each of `liked` got, NaN for none; None: not known of any"""
    disliked_stars: FloatArray | None = None

    @classmethod
    def of(cls, user_id: int, liked: Histories, disliked: Histories, n: int = 0) -> Self:
        """Return what pair `n` of the histories knows of its user."""
        return cls(user_id, liked[n], disliked[n], liked.stars_of(n), disliked.stars_of(n))

    def pairs(self, item_ids: IntArray) -> Pairs:
        """Return the pairs of this person and the items: [N]."""
        count = len(item_ids)
        return Pairs(
            np.full(count, self.user_id),
            item_ids,
            Histories.repeated(self.liked, count, self.liked_stars),
            disliked=Histories.repeated(self.disliked, count, self.disliked_stars),
        )

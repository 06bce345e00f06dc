"""A language model's vocabulary and, behind its words, one token for every user and item."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from corarec.types import IntArray


@dataclass(frozen=True)
class ExtendedVocabulary:
    """Numbers of tokens: words first, then users 0..U, then items 0..I.

    User 0 and item 0 are whom nobody knows. The language model itself is never resized.
    """

    words: int
    """How many rows the model's own embeddings have."""
    num_users: int
    num_items: int

    @property
    def num_ids(self) -> int:
        """How many tokens are users and items, the unknown ones included."""
        return self.num_users + 1 + self.num_items + 1

    @property
    def first_item(self) -> int:
        """Where items begin among users and items."""
        return self.num_users + 1

    def user(self, user_ids: IntArray) -> IntArray:
        """Return the tokens of users; those from elsewhere are unknown."""
        return self.words + _known(user_ids, self.num_users)

    def item(self, item_ids: IntArray) -> IntArray:
        """Return the tokens of items; those from elsewhere are unknown."""
        return self.words + self.first_item + _known(item_ids, self.num_items)

    def item_numbers(self, item_ids: IntArray) -> IntArray:
        """Return the numbers of items; 0 for those from elsewhere."""
        return _known(item_ids, self.num_items)


def _known(ids: IntArray, count: int) -> IntArray:
    return ids * ((ids >= 0) & (ids <= count))


class IdTokens(nn.Module):
    """The embeddings of users and items on one side: [U + 1 + I + 1, H].

    Parameters
    ----------
    std
        Standard deviation of the start values.
    """

    known: torch.Tensor

    def __init__(self, vocabulary: ExtendedVocabulary, size: int, std: float) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.weight = nn.Parameter(torch.empty(vocabulary.num_ids, size).normal_(std=std))
        self.register_buffer("known", torch.zeros(vocabulary.num_ids, dtype=torch.bool))

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """Return embeddings by number among users and items: [..., H]."""
        return functional.embedding(numbers, self.weight)

    def mark_known(self, tokens: IntArray) -> None:
        """Remember that what this side trains on has these tokens; words are passed over."""
        numbers = torch.from_numpy(tokens - self.vocabulary.words)
        self.known[numbers[numbers >= 0].to(self.known.device)] = True

    @property
    def items(self) -> torch.Tensor:
        """The embeddings of items 0..I: [I + 1, H]."""
        return self.weight[self.vocabulary.first_item :]

    @property
    def known_items(self) -> torch.Tensor:
        """Which items 0..I are known: [I + 1]; never item 0."""
        return self.known[self.vocabulary.first_item :]


class BothSides(nn.Module):
    """What stands for users and items once training is over, both sides taken together.

    An id that interactions told of has its collaborative embedding. One that only texts told of has
    its content embedding, about which the collaborative one would lie. All others have the mean of
    their kind.
    """

    def __init__(self, collaborative: IdTokens, content: IdTokens) -> None:
        super().__init__()
        # Held in a list: they are saved and trained as modules of their own.
        self._sides = [collaborative, content]

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """Return embeddings by number among users and items: [..., H]."""
        collaborative, content = self._sides
        by_texts = content.known[numbers]
        by_rows = collaborative.known[numbers]
        vectors = torch.where(by_rows[..., None], collaborative(numbers), content(numbers))
        if (by_rows | by_texts).all():
            return vectors
        first_item = collaborative.vocabulary.first_item
        users, items = (self._mean(part) for part in (slice(first_item), slice(first_item, None)))
        mean = torch.where((numbers < first_item)[..., None], users, items)
        return torch.where((by_rows | by_texts)[..., None], vectors, mean)

    def items(self) -> torch.Tensor:
        """Return the embeddings of items 0..I: [I + 1, H]."""
        vocabulary = self._sides[0].vocabulary
        numbers = torch.arange(vocabulary.first_item, vocabulary.num_ids)
        vectors: torch.Tensor = self(numbers.to(self._sides[0].weight.device))
        return vectors

    def _mean(self, part: slice) -> torch.Tensor:
        """Return the mean of what is known among some ids: [H]; zeros where nothing is."""
        collaborative, content = self._sides
        by_rows, by_texts = collaborative.known[part], content.known[part]
        vectors = torch.where(by_rows[:, None], collaborative.weight[part], content.weight[part])
        told = (by_rows | by_texts)[:, None]
        return (vectors * told).sum(dim=0) / told.sum().clamp(min=1)

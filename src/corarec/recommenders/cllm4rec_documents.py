"""What CLLM4Rec learns from: users with their items, reviews, descriptions, recommendations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import AfterValidator

from corarec.prompts.wording import Wording, with_slots, word_tokens
from corarec.recommenders.cllm4rec_tokens import ExtendedVocabulary
from corarec.score.batches import Batch
from corarec.types import Config, Histories, IntArray, Pairs

SPREAD = 0x9E3779B1
"""The product with an item's number, modulo 2**32, is its place in a shuffle that never changes."""


class CLLM4RecWording(Config):
    """The hard part of the prompts; users and items are tokens of their own in it."""

    interactions: Annotated[str, AfterValidator(with_slots("user"))] = "{user} has interacted with"
    """Before the items of a user."""
    review: Annotated[str, AfterValidator(with_slots("user", "item"))] = (
        "{user} writes the following review for {item}:"
    )
    """Before a review."""
    description: Annotated[str, AfterValidator(with_slots("item"))] = (
        "The following describes {item}:"
    )
    """Before what is known of an item: its title and the columns beside it."""
    recommendation: Annotated[str, AfterValidator(with_slots("user", "items", once="items"))] = (
        "{user} has interacted with {items}, {user} will interact with"
    )
    """What asks for all items of a user at once."""


class Texts:
    """The wordings in tokens, and the limit of a document.

    Parameters
    ----------
    max_length
        The longest document in tokens; None: there is no limit.
    """

    def __init__(
        self,
        wording: CLLM4RecWording,
        tokenizer: Any,
        vocabulary: ExtendedVocabulary,
        max_length: int | None,
    ) -> None:
        self.tokenizer = tokenizer
        self.vocabulary = vocabulary
        self.max_length = max_length
        self.interactions = Wording(wording.interactions, tokenizer)
        self.review = Wording(wording.review, tokenizer)
        self.description = Wording(wording.description, tokenizer)
        self.recommendation = Wording(wording.recommendation, tokenizer)

    @cached_property
    def room(self) -> int | None:
        """How many items fit into a recommendation's prompt."""
        if self.max_length is None:
            return None
        fixed = len(self.recommendation.fill({"user": [0], "items": []}))
        return max(0, self.max_length - fixed)

    def padded(self, rows: Sequence[tuple[Sequence[int], Sequence[int]]]) -> Batch:
        """Return documents, each a prompt and a main text, padded on the left.

        Too long ones lose their tail. `ids` and `mask` are [B, T] int64, `main` [B, T] says which
        tokens are of the main text.
        """
        documents = [(len(prompt), [*prompt, *main][: self.max_length]) for prompt, main in rows]
        width = max(len(ids) for _, ids in documents)
        padding = self.tokenizer.pad_token_id or 0
        ids = np.full((len(rows), width), padding, dtype=np.int64)
        mask, main_text = np.zeros_like(ids), np.zeros(ids.shape, dtype=bool)
        for n, (prompt_length, tokens) in enumerate(documents):
            start = width - len(tokens)
            ids[n, start:] = tokens
            mask[n, start:] = 1
            main_text[n, start + prompt_length :] = True
        return {
            "ids": torch.from_numpy(ids),
            "mask": torch.from_numpy(mask),
            "main": torch.from_numpy(main_text),
        }


@dataclass
class InteractionDocuments:
    """`user_i has interacted with` and the user's items in the order of their numbers."""

    texts: Texts
    user_ids: IntArray
    """[N] each user once"""
    items: Histories
    """[N] the items of each, ascending and without repetition"""

    def __post_init__(self) -> None:
        self.lengths: IntArray = self.items.lengths()

    def __len__(self) -> int:
        return len(self.user_ids)

    @property
    def tokens(self) -> IntArray:
        """Every user and item in any document."""
        vocabulary = self.texts.vocabulary
        users, items = vocabulary.user(self.user_ids), vocabulary.item(self.items.liked_items)
        return np.concatenate([users, items])

    def batch(self, rows: IntArray) -> Batch:
        """Return the documents of some users, see `Texts.padded`."""
        users = self.texts.vocabulary.user(self.user_ids[rows])
        return self.texts.padded(
            [
                (
                    self.texts.interactions.fill({"user": [user]}),
                    self.texts.vocabulary.item(self.items[row]).tolist(),
                )
                for row, user in zip(rows.tolist(), users.tolist(), strict=True)
            ]
        )


@dataclass
class RecommendationDocuments(InteractionDocuments):
    """A prompt that shows some of a user's items; all of them are to be predicted.

    Which ones are shown is drawn when a batch is used; how many are not follows from their number.
    """

    masked: float = 0.2
    """The share that is not shown."""

    def batch(self, rows: IntArray) -> Batch:
        """Return prompts whose items are yet to be chosen.

        To `ids` and `mask` come `items` [B, M], all items of each user with zeros behind them,
        `shown` [B], how many of them stand in the prompt, and `first` [B], where the first stands.
        """
        vocabulary = self.texts.vocabulary
        counts = self.items.lengths()[rows]
        shown = counts - masked_counts(counts, self.masked)
        if self.texts.room is not None:
            shown = np.minimum(shown, self.texts.room)
        items = np.zeros((len(rows), int(counts.max())), dtype=np.int64)
        prompts, first = [], []
        users = vocabulary.user(self.user_ids[rows]).tolist()
        for n, (row, user) in enumerate(zip(rows.tolist(), users, strict=True)):
            items[n, : counts[n]] = self.items[row]
            slots = {"user": [user], "items": vocabulary.item(items[n, : shown[n]]).tolist()}
            prompts.append(self.texts.recommendation.fill(slots))
            first.append(self.texts.recommendation.place("items", slots))
        batch = self.texts.padded([(prompt, ()) for prompt in prompts])
        width = batch["ids"].shape[1]
        padding = np.array([width - len(prompt) for prompt in prompts])
        return {
            "ids": batch["ids"],
            "mask": batch["mask"],
            "items": torch.from_numpy(items),
            "shown": torch.from_numpy(shown),
            "first": torch.from_numpy(padding + np.array(first)),
        }


def with_items(
    ids: torch.Tensor,
    items: torch.Tensor,
    shown: torch.Tensor,
    first: torch.Tensor,
    first_item: int,
    *,
    draw: bool,
) -> torch.Tensor:
    """Return prompts with as many of each user's items as are shown, in any order: [B, T].

    Parameters
    ----------
    ids, items, shown, first
        As `RecommendationDocuments.batch` gives them.
    first_item
        The token of item 0.
    draw
        Whether they are drawn anew each time.
    """
    if draw:
        keys = torch.rand(items.shape, device=items.device)
    else:
        keys = (items * SPREAD % 2**32).double()
    order = keys.masked_fill(items == 0, torch.inf).argsort(dim=1, stable=True)
    drawn = items.gather(1, order) + first_item
    columns = torch.arange(items.shape[1], device=items.device)
    rows, numbers = (columns < shown[:, None]).nonzero(as_tuple=True)
    return ids.index_put((rows, first[rows] + numbers), drawn[rows, numbers])


def masked_counts(counts: IntArray, share: float) -> IntArray:
    """Return how many of so many items are masked: at least one, else the share rounded down."""
    return np.minimum(counts, np.maximum(1, (share * counts).astype(np.int64)))


@dataclass
class ContentDocuments:
    """Reviews that users wrote for items, and descriptions of items."""

    texts: Texts
    user_ids: IntArray
    """[N] who wrote it; 0 for a description"""
    item_ids: IntArray
    """[N]"""
    contents: Sequence[str]
    """[N]"""

    def __post_init__(self) -> None:
        self.lengths: IntArray = np.array([len(text) for text in self.contents], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.contents)

    @property
    def tokens(self) -> IntArray:
        """Every user and item in any document."""
        vocabulary = self.texts.vocabulary
        users = vocabulary.user(self.user_ids[self.user_ids > 0])
        return np.concatenate([users, vocabulary.item(self.item_ids)])

    def batch(self, rows: IntArray) -> Batch:
        """Return some documents, see `Texts.padded`."""
        return self.texts.padded([self._document(row) for row in rows.tolist()])

    def _document(self, row: int) -> tuple[list[int], list[int]]:
        vocabulary, user = self.texts.vocabulary, self.user_ids[row]
        slots = {
            "user": [int(vocabulary.user(user))],
            "item": [int(vocabulary.item(self.item_ids[row]))],
        }
        wording = self.texts.review if user else self.texts.description
        # No character more than tokens can come of it, so that a book is not tokenised for a page.
        text = self.contents[row][: _characters(self.texts.max_length)]
        return wording.fill(slots), word_tokens(self.texts.tokenizer, f" {text}")


def _characters(tokens: int | None) -> int | None:
    return None if tokens is None else 50 * tokens


Documents = InteractionDocuments | ContentDocuments


class MixedDocuments:
    """Documents of several kinds, one kind behind the other.

    Parameters
    ----------
    parts
        The documents by the name of their kind.
    """

    def __init__(self, parts: Mapping[str, Documents]) -> None:
        self.parts = parts
        self.lengths: IntArray = np.concatenate([part.lengths for part in parts.values()])
        sizes = [len(part) for part in parts.values()]
        self.kinds: IntArray = np.repeat(np.arange(len(parts)), sizes)
        """[N] the kind of each document, as a number"""
        self._first = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, rows: IntArray) -> Batch:
        """Return the tensors of each kind that occurs, their names behind that of the kind."""
        batch: Batch = {}
        for number, (kind, part) in enumerate(self.parts.items()):
            chosen = rows[self.kinds[rows] == number] - self._first[number]
            if len(chosen):
                batch |= {f"{kind}.{name}": value for name, value in part.batch(chosen).items()}
        return batch


@dataclass
class ContextPrompts:
    """The prompts of pairs: all that the user liked before, and the item that is asked about."""

    texts: Texts
    pairs: Pairs

    def __post_init__(self) -> None:
        self.lengths: IntArray = self.pairs.histories.lengths()
        room = self.texts.room
        self.shown: IntArray = self.lengths if room is None else np.minimum(self.lengths, room)
        """[N] how many liked items stand in each prompt, the last of them"""

    def __len__(self) -> int:
        return len(self.pairs)

    def batch(self, rows: IntArray) -> Batch:
        """Return `input_ids` and `attention_mask`, both [B, T], and `item_ids` [B].

        The item is 0 where it is not in the catalogue.
        """
        vocabulary = self.texts.vocabulary
        # Who asks and what is asked about are codes of ids; what was liked is shown as titles are.
        users = vocabulary.user(self.pairs.for_cf.user_ids[rows]).tolist()
        prompts = []
        for row, user in zip(rows.tolist(), users, strict=True):
            shown = vocabulary.item(shuffled(self.liked(row))).tolist()
            prompts.append(self.texts.recommendation.fill({"user": [user], "items": shown}))
        batch = self.texts.padded([(prompt, ()) for prompt in prompts])
        item_ids = vocabulary.item_numbers(self.pairs.for_cf.item_ids[rows])
        return {
            "input_ids": batch["ids"],
            "attention_mask": batch["mask"],
            "item_ids": torch.from_numpy(item_ids),
        }

    def liked(self, row: int) -> IntArray:
        """Return the items that the prompt of a pair shows, ascending."""
        liked = self.pairs.histories[row]
        return np.unique(liked[len(liked) - int(self.shown[row]) :])


def shuffled(items: IntArray) -> IntArray:
    """Return items in an order that looks random and is the same wherever they stand together."""
    return items[np.argsort(items * SPREAD % 2**32, kind="stable")]

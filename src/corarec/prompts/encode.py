"""From pairs to token ids, batch by batch, so that no prompt is held longer than it is needed."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cached_property, partial
from itertools import accumulate
from typing import Any

import numpy as np
import torch

from corarec.errors import ConfigError, DataError
from corarec.prompts.render import SOFT_TOKEN, Renderer
from corarec.prompts.slots import Slot, SoftSlot
from corarec.prompts.templates import HISTORY, PromptConfig, RenderedPrompt, quote
from corarec.prompts.tokens import EncodedPrompts, PromptRow, PromptToken, TokenRow
from corarec.types import IntArray, Pairs

_AT_ONCE = 1024
"""Prompts that are held as text."""


class PromptEncoder:
    """Render and tokenise pairs.

    Parameters
    ----------
    tokenizer
        A fast Hugging Face tokenizer; its start token, where it has one, comes first.
    titles
        The title of each item id; position 0 is padding.
    slots
        What the system puts into slots of its own; those that the template lacks are left out.
    noun, nouns
        What an item is called: "movie" and "movies".
    frame
        Text before and after every prompt, such as the turns of a chat template.
    max_length
        The longest prompt in tokens. Longer ones lose their oldest history titles, as many as the
        longest title of the catalogue asks for: what a user's prompts show of the history does not
        depend on the item, so that they begin alike.

    Raises
    ------
    ConfigError
        The tokenizer does not know where in the text a token stands, or prompts are allowed to be
        longer than the model reads.
    """

    def __init__(
        self,
        tokenizer: Any,
        config: PromptConfig,
        titles: Sequence[str],
        *,
        slots: Mapping[str, Slot] | None = None,
        noun: str = "item",
        nouns: str = "items",
        frame: tuple[str, str] = ("", ""),
        max_length: int | None = None,
    ) -> None:
        if not tokenizer.is_fast:
            raise ConfigError(
                f"The tokenizer {type(tokenizer).__name__} is not a fast one, and corarec needs to "
                "know where in the text a token stands. Load it with use_fast=True or convert it."
            )
        if max_length is not None and (config.max_length or 0) > max_length:
            raise ConfigError(
                f"system.prompt.max_length is {config.max_length}, but the language model reads "
                f"{max_length} tokens at most. Set it to {max_length} or less, or leave it out."
            )
        self._with = partial(
            PromptEncoder,
            tokenizer,
            titles=titles,
            slots=slots,
            noun=noun,
            nouns=nouns,
            frame=frame,
            max_length=max_length,
        )
        self.config = config
        self.titles = titles
        self.max_length = config.max_length or max_length
        self._renderer = Renderer(config, titles, slots or {}, noun, nouns, frame)
        self._soft: dict[str, SoftSlot] = self._renderer.soft
        self._padding_id = _padding_id(tokenizer)
        if self._soft:
            tokenizer = deepcopy(tokenizer)
            tokenizer.add_tokens([SOFT_TOKEN], special_tokens=True)
        self.tokenizer = tokenizer
        self._soft_id = tokenizer.convert_tokens_to_ids(SOFT_TOKEN) if self._soft else None

    def with_config(self, config: PromptConfig) -> "PromptEncoder":
        """Return an encoder of the same items and slots for another prompt."""
        return self._with(config=config)

    def render(self, pairs: Pairs, new_titles: Sequence[str] = ()) -> list[str]:
        """Return the prompt of every pair as text, unshortened."""
        prompts = self._renderer.prompts(pairs, self.config.history_length, new_titles)
        return [prompt.text for prompt in prompts]

    def encode(self, pairs: Pairs, new_titles: Sequence[str] = ()) -> EncodedPrompts:
        """Tokenise a batch.

        Parameters
        ----------
        new_titles
            Titles of items that are not in the catalogue: id `len(titles)` is the first of them.

        Raises
        ------
        ConfigError
            A prompt is longer than `max_length` even without any history.
        """
        return self.padded([row.numbers for row in self._rows(pairs, new_titles)])

    def rows(self, pairs: Pairs, new_titles: Sequence[str] = ()) -> list[TokenRow]:
        """Tokenise pairs, as `encode` does, to be padded later: [N].

        Raises
        ------
        ConfigError
            As in `encode`.
        """
        rows: list[TokenRow] = []
        for first in range(0, len(pairs), _AT_ONCE):
            some = self._rows(pairs.take(slice(first, first + _AT_ONCE)), new_titles)
            rows += (row.numbers for row in some)
        return rows

    def tokens(self, pairs: Pairs, new_titles: Sequence[str] = ()) -> list[list[PromptToken]]:
        """Return every prompt token by token, as `encode` makes it, for people to read."""
        names = self.tokenizer.convert_ids_to_tokens
        return [row.shown(names) for row in self._rows(pairs, new_titles)]

    def token_counts(self, pairs: Pairs) -> IntArray:
        """Return the length of every prompt in tokens before any shortening: [N]."""
        rows = self._tokenise(self._renderer.prompts(pairs, self.config.history_length, ()))
        return np.array([len(row.ids) for row in rows], dtype=np.int64)

    def lengths(self, pairs: Pairs, new_titles: Sequence[str] = ()) -> IntArray:
        """Return the length of every prompt in characters, without rendering it: [N].

        It grows with the number of tokens closely enough to put prompts of like length together.
        """
        return self._renderer.lengths(pairs, new_titles)

    def shown(self, pairs: Pairs, new_titles: Sequence[str] = ()) -> IntArray:
        """Return how many titles of the history stand in each prompt, the last of them: [N]."""
        if HISTORY not in self._renderer.pasts(pairs):
            return np.zeros(len(pairs), dtype=np.int64)
        counts = np.minimum(pairs.histories.lengths(), self.config.history_length)
        if self.max_length is None:
            return counts
        rows = self._tokenise(self._renderer.prompts(pairs, self.config.history_length, new_titles))
        for n, row in enumerate(rows):
            if self._is_too_long(row):
                left, _ = self._shortened(pairs.take(np.array([n])), new_titles)
                counts[n] = min(counts[n], left)
        return counts

    def _rows(self, pairs: Pairs, new_titles: Sequence[str]) -> list[PromptRow]:
        rows = self._tokenise(self._renderer.prompts(pairs, self.config.history_length, new_titles))
        if self.max_length is None:
            return rows
        for n, row in enumerate(rows):
            if self._is_too_long(row):
                _, rows[n] = self._shortened(pairs.take(np.array([n])), new_titles)
        return rows

    def _is_too_long(self, row: PromptRow) -> bool:
        assert self.max_length is not None
        # Titles have no more tokens than bytes, so that most catalogues need not be tokenised.
        if len(row.ids) + self._longest_title_bytes <= self.max_length:
            return False
        without_title = len(row.ids) - row.title_tokens
        return without_title + max(row.title_tokens, self._title_room) > self.max_length

    def _shortened(self, pair: Pairs, new_titles: Sequence[str]) -> tuple[int, PromptRow]:
        """Return the prompt that fits, after the number of titles of its histories."""
        known = max(
            (int(past.lengths()[0]) for past in self._renderer.pasts(pair).values()), default=0
        )
        shown = min(self.config.history_length, known)
        row = None
        for history_length in range(max(1, shown) - 1, -1, -1):
            (row,) = self._tokenise(self._renderer.prompts(pair, history_length, new_titles))
            if not self._is_too_long(row):
                return history_length, row
        assert row is not None
        assert self.max_length is not None
        if len(row.ids) <= self.max_length:
            return 0, row
        item = int(pair.item_ids[0])
        raise ConfigError(
            f"The prompt for item {item} ({self._renderer.title(item, new_titles)[:80]!r}) has "
            f"{len(row.ids)} tokens without any history, more than the limit of "
            f"{self.max_length}. Raise system.prompt.max_length, shorten the title or take a model "
            "that reads more."
        )

    @cached_property
    def _longest_title_bytes(self) -> int:
        return max((len(title.encode()) for title in self.titles), default=0) + len('""')

    @cached_property
    def _title_room(self) -> int:
        """Tokens kept for a title: the longest of the catalogue, at most half a prompt."""
        assert self.max_length is not None
        quoted = [quote(title) for title in self.titles[1:]] or [""]
        room, longest = self.max_length // 2, 0
        # In parts: what a tokenizer says of a million titles at once takes gigabytes.
        for first in range(0, len(quoted), _AT_ONCE):
            some = quoted[first : first + _AT_ONCE]
            ids = self.tokenizer(some, add_special_tokens=False)["input_ids"]
            longest = max(longest, *map(len, ids))
            if longest >= room:
                break
        return min(longest, room)

    def _tokenise(self, prompts: list[RenderedPrompt]) -> list[PromptRow]:
        encoded = self.tokenizer(
            [prompt.text for prompt in prompts],
            return_offsets_mapping=True,
            return_attention_mask=False,
        )
        return [
            self._row(prompt, ids, offsets)
            for prompt, ids, offsets in zip(
                prompts, encoded["input_ids"], encoded["offset_mapping"], strict=True
            )
        ]

    def _row(
        self, prompt: RenderedPrompt, ids: list[int], offsets: list[tuple[int, int]]
    ) -> PromptRow:
        # The first token that ends behind the opening quote belongs to the title, whether or not
        # the tokenizer glued the quote or a space to it. Special tokens are at (0, 0).
        starts = list(accumulate((start for start, _ in offsets), max))
        ends = list(accumulate((end for _, end in offsets), max))
        spans = {
            name: (bisect_right(ends, first), bisect_left(starts, last))
            for name, (first, last) in prompt.spans.items()
            if last > first
        }
        if not self._soft:
            return PromptRow(ids, spans, {}, prompt.text, offsets)
        places = [t for t, token in enumerate(ids) if token == self._soft_id]
        order = sorted(self._soft, key=lambda name: prompt.spans[name])
        if len(places) != sum(slot.tokens for slot in self._soft.values()):
            raise DataError(
                f"A title contains {SOFT_TOKEN!r}, which marks the places of soft tokens. Rename "
                "it in the catalogue."
            )
        soft = {}
        for name in order:
            count = self._soft[name].tokens
            soft[name], places = places[:count], places[count:]
        ids = [self._padding_id if i == self._soft_id else i for i in ids]
        return PromptRow(ids, spans, soft, prompt.text, offsets)

    def padded(self, rows: Sequence[TokenRow]) -> EncodedPrompts:
        """Return rows of `rows` as a batch."""
        width = max(len(row.ids) for row in rows)
        input_ids = torch.full((len(rows), width), self._padding_id, dtype=torch.int64)
        attention_mask = torch.zeros_like(input_ids)
        for n, row in enumerate(rows):
            input_ids[n, width - len(row.ids) :] = torch.from_numpy(row.ids)
            attention_mask[n, width - len(row.ids) :] = 1
        padding = torch.tensor([width - len(row.ids) for row in rows])
        named = set.intersection(*(set(row.spans) for row in rows))
        edges = {name: torch.tensor([row.spans[name] for row in rows]) for name in named}
        starts = {name: padding + places[:, 0] for name, places in edges.items()}
        ends = {name: padding + places[:, 1] for name, places in edges.items()}
        soft = {
            name: padding[:, None] + torch.tensor([row.soft[name] for row in rows])
            for name in self._soft
        }
        return EncodedPrompts(input_ids, attention_mask, starts, ends, soft)


def _padding_id(tokenizer: Any) -> int:
    token = tokenizer.pad_token_id
    return int(token if token is not None else tokenizer.eos_token_id or 0)

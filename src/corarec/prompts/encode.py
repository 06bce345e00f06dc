"""From pairs to token ids, batch by batch, so that no prompt is held longer than it is needed."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from corarec.errors import ConfigError
from corarec.prompts.templates import PromptConfig, quote, split_template
from corarec.types import IntArray, Pairs


@dataclass(frozen=True)
class EncodedPrompts:
    """A batch of prompts, padded on the left so that the last token is always at the end."""

    input_ids: torch.Tensor
    """[B, T] int64"""
    attention_mask: torch.Tensor
    """[B, T] int64, 0 on padding"""
    title_start: torch.Tensor
    """[B] int64, position of the first token of the target title in the padded row"""


class PromptEncoder:
    """Render and tokenise pairs.

    Parameters
    ----------
    tokenizer
        A fast Hugging Face tokenizer; its start token, where it has one, comes first.
    titles
        The title of each item id; position 0 is padding.
    noun, nouns
        What an item is called: "movie" and "movies".
    frame
        Text before and after every prompt, such as the turns of a chat template.
    max_length
        The longest prompt in tokens; longer ones lose their oldest history titles.
    """

    def __init__(
        self,
        tokenizer: Any,
        config: PromptConfig,
        titles: Sequence[str],
        *,
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
        self.tokenizer = tokenizer
        self.config = config
        self.titles = titles
        self.max_length = config.max_length or max_length
        before, after = split_template(config, noun, nouns)
        self._before, self._after = frame[0] + before, after + frame[1]

    def with_titles(self, titles: Sequence[str]) -> "PromptEncoder":
        """Return the same encoder over other titles, for items that joined the catalogue."""
        other = copy(self)
        other.titles = titles
        other.__dict__.pop("_title_lengths", None)
        return other

    def render(self, pairs: Pairs, history_length: int | None = None) -> list[str]:
        """Return the prompt of every pair as text."""
        parts = self._parts(pairs, history_length)
        return [before + title + after for before, title, after in parts]

    def encode(self, pairs: Pairs) -> EncodedPrompts:
        """Tokenise a batch.

        Raises
        ------
        ConfigError
            A prompt is longer than `max_length` even without any history.
        """
        ids, title_start = self._tokenise(self._parts(pairs, None))
        for n in self._too_long(ids):
            ids[n], title_start[n] = self._shorten(pairs.take(np.array([n])))
        width = max(len(row) for row in ids)
        input_ids = torch.full((len(ids), width), self._padding_id, dtype=torch.int64)
        attention_mask = torch.zeros_like(input_ids)
        for n, row in enumerate(ids):
            input_ids[n, width - len(row) :] = torch.tensor(row)
            attention_mask[n, width - len(row) :] = 1
        starts = torch.tensor(
            [width - len(row) + s for row, s in zip(ids, title_start, strict=True)]
        )
        return EncodedPrompts(input_ids, attention_mask, starts)

    def token_counts(self, pairs: Pairs) -> IntArray:
        """Return the length of every prompt in tokens before any shortening: [N]."""
        ids, _ = self._tokenise(self._parts(pairs, None))
        return np.array([len(row) for row in ids], dtype=np.int64)

    def lengths(self, pairs: Pairs) -> IntArray:
        """Return the length of every prompt in characters, without rendering it: [N].

        It grows with the number of tokens closely enough to put prompts of like length together.
        """
        shown = pairs.histories.last(self.config.history_length)
        return self._title_lengths[shown].sum(axis=1) + self._title_lengths[pairs.item_ids]

    @cached_property
    def _title_lengths(self) -> IntArray:
        lengths = np.array([len(title) + len('"", ') for title in self.titles], dtype=np.int64)
        lengths[0] = 0
        return lengths

    @property
    def _padding_id(self) -> int:
        token = self.tokenizer.pad_token_id
        return int(token if token is not None else self.tokenizer.eos_token_id or 0)

    def _parts(self, pairs: Pairs, history_length: int | None) -> list[tuple[str, str, str]]:
        count = self.config.history_length if history_length is None else history_length
        parts = []
        for item, shown in zip(pairs.item_ids, pairs.histories.last(count), strict=True):
            liked = ", ".join(quote(self.titles[i]) for i in shown if i) or self.config.no_history
            parts.append(
                (
                    self._before.replace("{history}", liked),
                    quote(self.titles[item]),
                    self._after.replace("{history}", liked),
                )
            )
        return parts

    def _tokenise(self, parts: list[tuple[str, str, str]]) -> tuple[list[list[int]], list[int]]:
        encoded = self.tokenizer(
            [before + title + after for before, title, after in parts],
            return_offsets_mapping=True,
            return_attention_mask=False,
        )
        # The first token that ends behind the opening quote belongs to the title, whether or not
        # the tokenizer glued the quote or a space to it.
        starts = [
            next(t for t, (_, end) in enumerate(offsets) if end > len(before))
            for (before, _, _), offsets in zip(parts, encoded["offset_mapping"], strict=True)
        ]
        return encoded["input_ids"], starts

    def _too_long(self, ids: list[list[int]]) -> list[int]:
        if self.max_length is None:
            return []
        return [n for n, row in enumerate(ids) if len(row) > self.max_length]

    def _shorten(self, pair: Pairs) -> tuple[list[int], int]:
        for history_length in range(max(1, self.config.history_length) - 1, -1, -1):
            ids, starts = self._tokenise(self._parts(pair, history_length))
            if not self._too_long(ids):
                return ids[0], starts[0]
        raise ConfigError(
            f"The prompt for item {int(pair.item_ids[0])} ({self.titles[pair.item_ids[0]]!r}) has "
            f"{len(ids[0])} tokens without any history, more than the limit of {self.max_length}. "
            "Raise system.prompt.max_length, shorten the title or take a model that reads more."
        )

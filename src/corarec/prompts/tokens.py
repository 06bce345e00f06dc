"""Prompts as tokens: a batch for the model, one prompt for people."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from corarec.prompts.templates import TITLE


@dataclass(frozen=True)
class EncodedPrompts:
    """A batch of prompts, padded on the left so that the last token is always at the end.

    Positions count in the padded rows.
    """

    input_ids: torch.Tensor
    """[B, T] int64; padding where a soft token stands"""
    attention_mask: torch.Tensor
    """[B, T] int64, 0 on padding"""
    starts: dict[str, torch.Tensor]
    """[B] int64 by slot, its first token"""
    ends: dict[str, torch.Tensor]
    """[B] int64 by slot, one past its last token"""
    soft: dict[str, torch.Tensor]
    """[B, n] int64 by soft slot, its soft tokens"""


@dataclass(frozen=True)
class TokenRow:
    """One prompt as numbers, to be held with thousands of others."""

    ids: npt.NDArray[np.int32]
    """[T], padding where a soft token stands"""
    spans: dict[str, tuple[int, int]]
    """by slot its first token and one past its last"""
    soft: dict[str, list[int]]
    """by soft slot its soft tokens"""


@dataclass
class PromptRow:
    """One prompt in tokens."""

    ids: list[int]
    spans: dict[str, tuple[int, int]]
    soft: dict[str, list[int]]
    text: str
    offsets: list[tuple[int, int]]
    """First character of every token, and one past its last."""

    @property
    def numbers(self) -> TokenRow:
        """The prompt without its text."""
        return TokenRow(np.array(self.ids, dtype=np.int32), self.spans, self.soft)

    @property
    def title_tokens(self) -> int:
        """How many tokens the title of the item has."""
        start, end = self.spans[TITLE]
        return end - start

    def shown(self, names: Callable[[Sequence[int]], Sequence[str]]) -> list["PromptToken"]:
        """Return the tokens with what of the text each stands for.

        The texts of all, special ones left out, are the prompt but for soft tokens.

        Parameters
        ----------
        names
            Gives tokens by their ids the names that the tokenizer has for them.
        """
        slot_of = {
            place: name for name, (first, end) in self.spans.items() for place in range(first, end)
        }
        soft = {place: name for name, places in self.soft.items() for place in places}
        shown, until = [], 0
        for place, (number, (_, end)) in enumerate(zip(self.ids, self.offsets, strict=True)):
            if place in soft:
                shown.append(PromptToken("", soft[place], special=True))
            elif end == 0:
                shown.append(PromptToken(names([number])[0], "", special=True))
            else:
                text = self.text[until:end]
                shown.append(PromptToken(text, slot_of.get(place, ""), special=False))
            until = max(until, end)
        return shown


@dataclass(frozen=True)
class PromptToken:
    """One token of a prompt."""

    text: str
    """What of the prompt it stands for, the space before it included; empty for all but the first
    token of a letter that takes several, and for soft tokens; of other special tokens, the name"""
    slot: str
    """name of the slot that it fills; empty for the words of the template"""
    special: bool
    """whether it is no text: a start token, a soft token"""

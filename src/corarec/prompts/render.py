"""From pairs to prompts as text."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from corarec.prompts.slots import Slot, SoftSlot, TextSlot
from corarec.prompts.templates import (
    DISLIKED,
    HISTORY,
    TITLE,
    PastTitle,
    PromptConfig,
    RenderedPrompt,
    Template,
    quote,
    slot_names,
)
from corarec.types import FloatArray, Histories, IntArray, Pairs

SOFT_TOKEN = "<|corarec:soft|>"
"""Stands in the text where a soft token will; no token of the model."""


class Renderer:
    """Fills a template for pairs.

    Parameters
    ----------
    titles
        The title of each item id; position 0 is padding.
    slots
        What the system puts into slots of its own; those that the template lacks are left out.
    noun, nouns
        What an item is called: "movie" and "movies".
    frame
        Text before and after every prompt, such as the turns of a chat template.
    """

    def __init__(
        self,
        config: PromptConfig,
        titles: Sequence[str],
        slots: Mapping[str, Slot],
        noun: str,
        nouns: str,
        frame: tuple[str, str],
    ) -> None:
        self._used = frozenset(slot_names(config.template))
        slots = {name: slot for name, slot in slots.items() if name in self._used}
        self._config = config
        self._titles = titles
        self._shows_titles = config.titles == "shown"
        self._template = Template(config, noun, nouns, frame)
        self._past_title = PastTitle(config.past_title)
        self._texts = {name: slot for name, slot in slots.items() if isinstance(slot, TextSlot)}
        self.soft = {name: slot for name, slot in slots.items() if isinstance(slot, SoftSlot)}
        """the slots whose places are marked by `SOFT_TOKEN`"""

    def prompts(
        self, pairs: Pairs, history_length: int, new_titles: Sequence[str]
    ) -> list[RenderedPrompt]:
        """Return the prompt of every pair, with at most so many titles of each of its pasts."""
        fixed = {
            name: slot.joiner.join([SOFT_TOKEN] * slot.tokens) for name, slot in self.soft.items()
        }
        texts = {name: slot.fill(pairs) for name, slot in self._texts.items()}
        pasts = {
            name: (past.last(history_length), past.last_stars(history_length))
            for name, past in self.pasts(pairs).items()
        }
        nothing = {name: "" for name in (HISTORY, DISLIKED) if not self._shows_titles}
        prompts = []
        for n, item in enumerate(pairs.item_ids):
            own = {name: values[n] for name, values in texts.items()}
            past = {
                name: self._listed(items[n], stars[n], new_titles)
                for name, (items, stars) in pasts.items()
            }
            title = quote(self.title(item, new_titles) if self._shows_titles else "")
            prompts.append(self._template.fill(fixed | own | nothing | past | {TITLE: title}))
        return prompts

    def lengths(self, pairs: Pairs, new_titles: Sequence[str]) -> IntArray:
        """Return the length of every prompt in characters, what all share left out: [N]."""
        if not self._shows_titles:
            return np.zeros(len(pairs), dtype=np.int64)
        lengths = self._title_lengths
        if new_titles:
            lengths = np.concatenate([lengths, _lengths(new_titles)])
        found = lengths[pairs.item_ids]
        for past in ({HISTORY: pairs.histories} | self.pasts(pairs)).values():
            found = found + lengths[past.last(self._config.history_length)].sum(axis=1)
        return found

    def pasts(self, pairs: Pairs) -> dict[str, Histories]:
        """Return what fills the slots of the template that show titles of a user's past."""
        if not self._shows_titles:
            return {}
        disliked = pairs.disliked
        if disliked is None:
            disliked = Histories.repeated(np.zeros(0, np.int64), len(pairs))
        both = {HISTORY: pairs.histories, DISLIKED: disliked}
        return {name: past for name, past in both.items() if name in self._used}

    def title(self, item: int, new_titles: Sequence[str]) -> str:
        """Return the title of an item of the catalogue, or of a new one behind it."""
        known = len(self._titles)
        return self._titles[item] if item < known else new_titles[item - known]

    @cached_property
    def _title_lengths(self) -> IntArray:
        lengths = _lengths(self._titles)
        lengths[0] = 0
        return lengths

    def _listed(self, items: IntArray, stars: FloatArray, new_titles: Sequence[str]) -> str:
        """Return the titles of items as a prompt shows them; item 0 is none."""
        shown = [
            self._past_title.fill(self.title(item, new_titles), given)
            for item, given in zip(items.tolist(), stars.tolist(), strict=True)
            if item
        ]
        return ", ".join(shown) or self._config.no_history


def _lengths(titles: Sequence[str]) -> IntArray:
    return np.array([len(title) + len('"", ') for title in titles], dtype=np.int64)

"""Texts whose slots hold tokens: the words between them are tokenised once."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from corarec.prompts.templates import cut, slot_names


class Wording:
    """A text with slots for token ids.

    The text between two slots is tokenised on its own, as if the tokens of the slots were words of
    the vocabulary that nothing is ever merged with.

    Parameters
    ----------
    text
        Text with slots, such as `{user} has interacted with`.
    tokenizer
        A Hugging Face tokenizer; its start token, where it puts one, comes first.
    """

    def __init__(self, text: str, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._start = start_tokens(tokenizer)
        self._parts = [(word_tokens(tokenizer, words), name) for words, name in cut(text, {})]

    def fill(self, slots: Mapping[str, Sequence[int]]) -> list[int]:
        """Return the tokens with every slot filled."""
        ids = list(self._start)
        for words, name in self._parts:
            ids += words
            if name is not None:
                ids += slots[name]
        return ids

    def place(self, slot: str, slots: Mapping[str, Sequence[int]]) -> int:
        """Return where the first token of a slot stands, those before it filled."""
        place = len(self._start)
        for words, name in self._parts:
            place += len(words)
            if name == slot:
                return place
            if name is not None:
                place += len(slots[name])
        raise KeyError(slot)

    def show(self, slots: Mapping[str, str]) -> str:
        """Return the text with words in its slots."""
        return "".join(
            self.tokenizer.decode(words) + (slots[name] if name is not None else "")
            for words, name in self._parts
        )


def start_tokens(tokenizer: Any) -> list[int]:
    """Return the token that a tokenizer puts before every text; none where it puts none."""
    first = list(tokenizer("")["input_ids"])[:1]
    return first if first == [tokenizer.bos_token_id] else []


def word_tokens(tokenizer: Any, text: str) -> list[int]:
    """Return the tokens of a text and nothing before or behind them."""
    return list(tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []


def with_slots(*needed: str, once: str | None = None) -> Callable[[str], str]:
    """Return a check of a wording: it has these slots, one of them exactly once, and no other."""

    def check(text: str) -> str:
        found = slot_names(text)
        if set(found) != set(needed) or (once and found.count(once) != 1):
            wanted = ", ".join(f"{{{name}}}" + " once" * (name == once) for name in needed)
            raise ValueError(
                f"the wording {text!r} has the slots {found}; wanted are {wanted} and no others. "
                "Write a brace that is meant literally twice: {{ or }}"
            )
        return text

    return check

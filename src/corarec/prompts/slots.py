"""What a system may put into the slots of its template, beside titles and nouns."""

from collections.abc import Callable
from dataclasses import dataclass

from corarec.types import Pairs


@dataclass(frozen=True)
class TextSlot:
    """Text of its own for every pair."""

    fill: Callable[[Pairs], list[str]]
    """[N] texts of the pairs"""


@dataclass(frozen=True)
class SoftSlot:
    """Places for embeddings: the system puts vectors there in place of tokens."""

    tokens: int = 1
    """How many soft tokens stand in the slot."""
    joiner: str = ""
    """Text between them."""


Slot = TextSlot | SoftSlot

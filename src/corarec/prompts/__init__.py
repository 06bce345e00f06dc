"""What the language model reads: templates, what fills their slots, and their tokens."""

from corarec.prompts.encode import PromptEncoder
from corarec.prompts.slots import Slot, SoftSlot, TextSlot
from corarec.prompts.templates import CORA_TEMPLATE, PromptConfig, check_slots
from corarec.prompts.tokens import EncodedPrompts, PromptToken

__all__ = [
    "CORA_TEMPLATE",
    "EncodedPrompts",
    "PromptConfig",
    "PromptEncoder",
    "PromptToken",
    "Slot",
    "SoftSlot",
    "TextSlot",
    "check_slots",
]

"""What the language model reads: templates, what fills their slots, and their tokens."""

from corarec.prompts.encode import EncodedPrompts, PromptEncoder
from corarec.prompts.slots import Slot, SoftSlot, TextSlot
from corarec.prompts.templates import CORA_TEMPLATE, PromptConfig, check_slots

__all__ = [
    "CORA_TEMPLATE",
    "EncodedPrompts",
    "PromptConfig",
    "PromptEncoder",
    "Slot",
    "SoftSlot",
    "TextSlot",
    "check_slots",
]

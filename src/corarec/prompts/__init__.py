"""What the language model reads: templates and their tokens."""

from corarec.prompts.encode import EncodedPrompts, PromptEncoder
from corarec.prompts.templates import CORA_TEMPLATE, PromptConfig

__all__ = ["CORA_TEMPLATE", "EncodedPrompts", "PromptConfig", "PromptEncoder"]

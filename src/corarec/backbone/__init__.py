"""The language model: any Hugging Face causal LM, or the small one that ships.

`load_backbone(BackboneConfig(...))` returns a `Backbone`: the frozen model, its tokenizer, its
answer tokens and a fingerprint of its weights.
"""

from corarec.backbone.answers import Answers, find_answers
from corarec.backbone.chat import PromptFrame
from corarec.backbone.load import BUNDLED, Backbone, BackboneConfig, load_backbone

__all__ = [
    "BUNDLED",
    "Answers",
    "Backbone",
    "BackboneConfig",
    "PromptFrame",
    "find_answers",
    "load_backbone",
]

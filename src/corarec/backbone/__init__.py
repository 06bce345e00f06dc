"""The language model: any Hugging Face causal LM, the small one that ships, its pretraining.

`load_backbone(BackboneConfig(...))` returns a `Backbone`: the frozen model, its tokenizer, its
answer tokens and a fingerprint of its weights. `corarec.backbone.pretrain.pretrain_backbone`
trains a small model from a recipe.
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

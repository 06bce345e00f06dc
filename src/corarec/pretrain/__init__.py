"""Pretraining of a small causal language model from a recipe.

`pretrain_backbone(recipe, output)` does it all: tokenizer, corpus, training, the finished model.
"""

from corarec.pretrain.pretrain import pretrain_backbone

__all__ = ["pretrain_backbone"]

"""ICL (Dai et al. 2023): the frozen language model answers the plain prompt, nothing is trained."""

from pathlib import Path
from typing import Literal

import torch

from corarec.backbone import BackboneConfig
from corarec.prompts import PromptConfig
from corarec.recommenders.llm import AnswerScore, PromptRecommender
from corarec.types import Config


class ICLSystem(Config):
    """In-context learning, zero-shot, as one row of the benchmark."""

    name: Literal["icl"] = "icl"
    backbone: BackboneConfig = BackboneConfig()
    prompt: PromptConfig = PromptConfig()
    answer: AnswerScore = "yes-minus-no"
    """Untrained, the logit of Yes alone says more about the prompt's length than about Yes."""


class ICLRecommender(PromptRecommender):
    """The frozen model's own opinion."""

    def forward(self, **batch: torch.Tensor) -> torch.Tensor:
        """Return the logit of the answer: [B]."""
        return self.answer_logits(batch["input_ids"], batch["attention_mask"])

    def save(self, folder: Path) -> None:
        """Write nothing: nothing was trained."""

    def load(self, folder: Path) -> None:
        """Read nothing: nothing was trained."""

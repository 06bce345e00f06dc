"""A system whose increment is switched off for its own prompts."""

import torch

from corarec.recommenders.llm import PromptRecommender


class FrozenSystem:
    """What the frozen model answers to the prompts of a system; switched off in this thread only.

    What the system makes of the answers, such as a residual, holds, unless not `joined`.
    """

    def __init__(self, system: PromptRecommender, *, joined: bool = True) -> None:
        self._system = system
        self._joined = joined
        self.training = system.training
        self.inputs = system.inputs

    @property
    def device(self) -> torch.device:
        """Where batches must be."""
        return self._system.device

    def logits(self, **batch: torch.Tensor) -> torch.Tensor:
        """Return the logit of the answer: [B]."""
        with self._system.model.disable_adapter():
            answers = self._system.answer_logits(batch["input_ids"], batch["attention_mask"])
        return self._system.logits_of(answers, batch) if self._joined else answers

    def scoring_logits(self, **batch: torch.Tensor) -> torch.Tensor:
        """Return the logit of the answer, as quickly as may be: [B]."""
        with self._system.last_only():
            return self.logits(**batch)

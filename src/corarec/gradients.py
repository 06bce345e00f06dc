"""A gradient that is not finite stops a training before it reaches the weights."""

from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from corarec.errors import TrainingError


class FiniteGradients(TrainerCallback):
    """Look at the gradients of every step.

    Parameters
    ----------
    lower
        What the error advises to lower, by its key.
    """

    def __init__(self, lower: str) -> None:
        self._lower = lower

    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: torch.nn.Module | None = None,
        **_: Any,
    ) -> None:
        """Check the norm.

        Raises
        ------
        TrainingError
            It is not finite.
        """
        assert model is not None
        gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if not torch.isfinite(norm):
            raise TrainingError(
                f"The norm of the gradient became {norm.item()} at step {state.global_step + 1}. "
                f"The last whole checkpoint is kept. Lower {self._lower} or use float32."
            )

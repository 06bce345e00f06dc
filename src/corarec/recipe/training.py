"""How a language-model system is trained."""

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from corarec.types import Config


class TrainConfig(Config):
    """Training of the second stage (the CF models have their own).

    The learning-rate course is that of the authors' code without its restarts: linear from
    `warmup_start` to `learning_rate`, then a cosine down to `final_learning_rate`.
    """

    steps: Annotated[int, Field(gt=0)] = 2_000
    """Optimizer steps at most; early stopping usually ends a run before."""
    batch_size: Annotated[int, Field(gt=0)] = 32
    """Pairs per forward pass."""
    accumulate: Annotated[int, Field(gt=0)] = 1
    """Forward passes per optimizer step."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """AdamW's, at its highest."""
    warmup_start: Annotated[float, Field(ge=0)] = 1e-5
    """Learning rate of the first step."""
    warmup_steps: Annotated[int, Field(ge=0)] = 200
    """Steps until the highest learning rate; 0 begins with it."""
    final_learning_rate: Annotated[float, Field(ge=0)] = 8e-5
    """Learning rate of the last step."""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-3
    """AdamW's; none on biases and norms."""
    max_gradient_norm: Annotated[float, Field(ge=0)] = 1.0
    """Gradients are clipped to this norm; 0 leaves them alone."""
    validate_every: Annotated[int, Field(gt=0)] = 50
    """Optimizer steps between validations (the authors' "epoch"), each of which checkpoints."""
    validation_rows: Annotated[int, Field(gt=0)] = 2_000
    """Size of the fixed sample of the validation split that chooses the best weights."""
    validation_fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    """Instead of `validation_rows`: this share of the validation split, drawn as CoLLM draws its
    `valid_small` (0.5 for ML-1M, 0.25 for Amazon-Book)."""
    patience: Annotated[int, Field(gt=0)] = 20
    """Validations without a better AUC after which training stops."""
    train_from: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Leave out this earliest share of the training rows, for CF vectors that were fitted on it."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    threads: Annotated[int, Field(gt=0)] | None = None
    """CPU threads; fix them where two runs must agree bit for bit."""
    report_to: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = ()
    """Where metrics go besides `metrics.jsonl`."""

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of optimizer step `step`, counted from 0."""
        if step < self.warmup_steps:
            return self.warmup_start + (self.learning_rate - self.warmup_start) * (
                step / self.warmup_steps
            )
        progress = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        cosine = (1 + math.cos(math.pi * min(1.0, progress))) / 2
        return self.final_learning_rate + (self.learning_rate - self.final_learning_rate) * cosine

    @property
    def log_every(self) -> int:
        """Steps between log lines: at most 10, and a whole number of times into a validation."""
        return max(n for n in range(1, 11) if self.validate_every % n == 0)

    @model_validator(mode="after")
    def _consistent(self) -> "TrainConfig":
        if self.final_learning_rate > self.learning_rate:
            raise ValueError(
                f"final_learning_rate ({self.final_learning_rate}) is above learning_rate "
                f"({self.learning_rate}); the course only falls. Lower the former"
            )
        return self

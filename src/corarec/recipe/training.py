"""How a language-model system is trained."""

import math
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_serializer,
    model_serializer,
    model_validator,
)

from corarec.prompts import PromptConfig
from corarec.recommenders.loss import LossConfig
from corarec.types import Config


class Course(Config):
    """What every phase of a training may have its own values of."""

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
    patience: Annotated[int, Field(gt=0)] = 20
    """Validations without a better metric after which training stops."""
    train_from: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Leave out this earliest share of the training rows, for CF vectors that were fitted on it."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    loss: LossConfig = LossConfig()
    """What is added to the cross-entropy of the answers."""
    average: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """How much of the running mean of the weights is kept at each step, such as 0.98; the mean is
    what is validated and kept as the best. 0: the weights as they are."""


class PhaseConfig(Course):
    """One phase of a training; a key that is not given is that of `train`."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=40)]
    """What the phase is called, in its folder and in `metrics.jsonl`."""
    parameters: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """The system's parameter groups that are trained, the others frozen; none: all."""
    task: str | None = None
    """What the phase is for, of the system's tasks; none: what the trained system does. Systems
    without tasks have none."""
    prompt: PromptConfig | None = None
    """Another prompt than that of `system.prompt`; a key that is not given is that of the latter.
    The last phase's prompt is that of the trained system."""
    init_from: str | None = None
    """Where its weights come from: an earlier phase, by name, or the folder of another run, as far
    as it trained the same parameter groups. By default the phase before."""

    @field_serializer("prompt")
    def _given_prompt(self, prompt: PromptConfig | None) -> Any:
        return None if prompt is None else prompt.model_dump(mode="json", exclude_unset=True)

    @model_serializer(mode="wrap")
    def _given(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in dump(self).items() if key in self.model_fields_set}


class TrainConfig(Course):
    """Training of the second stage (the CF models have their own).

    The learning-rate course is that of the authors' code without its restarts: linear from
    `warmup_start` to `learning_rate`, then a cosine down to `final_learning_rate`.
    """

    validation_rows: Annotated[int, Field(gt=0)] = 2_000
    """Size of the fixed sample of the validation split that chooses the best weights."""
    validation_fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    """Instead of `validation_rows`: this share of the validation split, drawn as CoLLM draws its
    `valid_small` (0.5 for ML-1M, 0.25 for Amazon-Book)."""
    threads: Annotated[int, Field(gt=0)] | None = None
    """CPU threads; fix them where two runs must agree bit for bit."""
    report_to: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = ()
    """Where metrics go besides `metrics.jsonl`."""
    phases: tuple[PhaseConfig, ...] = ()
    """Phases of the training, one after the other; without any the whole training is one."""

    def of_phase(self, phase: PhaseConfig) -> "TrainConfig":
        """Return the training of one phase, what it does not give taken from here."""
        given = phase.model_fields_set & Course.model_fields.keys()
        values = self.model_dump(exclude={"phases"}) | {key: getattr(phase, key) for key in given}
        return TrainConfig.model_validate(values)

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
        if not self.phases and self.final_learning_rate > self.learning_rate:
            raise ValueError(
                f"final_learning_rate ({self.final_learning_rate}) is above learning_rate "
                f"({self.learning_rate}); the course only falls. Lower the former"
            )
        names: list[str] = []
        for phase in self.phases:
            where = f"in the phase {phase.name!r} "
            if phase.name in names:
                raise ValueError(f"two phases are called {phase.name!r}; rename one")
            later = [other.name for other in self.phases[len(names) :]]
            if phase.init_from in later:
                raise ValueError(
                    f"{where}init_from names {phase.init_from!r}, which does not come before it. "
                    f"Earlier phases: {', '.join(names) or 'none'}"
                )
            names.append(phase.name)
            try:
                self.of_phase(phase)
            except ValidationError as error:
                words = error.errors()[0]["msg"].removeprefix("Value error, ")
                raise ValueError(where + words) from error
        return self

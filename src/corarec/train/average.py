"""A running mean of the trained weights, which is what is validated and kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from corarec.errors import ArtifactError

AVERAGE_FILE = "average.safetensors"


class WeightAverage(TrainerCallback):
    """Exponentially fading mean of the trained parameters over the steps.

    After step `t` the mean moves towards the parameters by `1 - min(decay, (1 + t) / (10 + t))`, so
    that the first steps weigh little later on.

    Parameters
    ----------
    model
        Its parameters with a gradient are averaged.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self._means: dict[str, torch.Tensor] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Begin with the parameters as they are, unless a checkpoint gave the means."""
        self._means = {
            name: self._means.get(name, parameter).detach().to(parameter.device, copy=True)
            for name, parameter in self._parameters.items()
        }

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Take in the parameters after a step."""
        step = state.global_step
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, mean in self._means.items():
            mean.lerp_(self._parameters[name].detach(), 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the model have the means within the block, and its own parameters again after it."""
        own = {name: self._parameters[name].detach().clone() for name in self._means}
        self._set(self._means)
        try:
            yield
        finally:
            self._set(own)

    def save(self, folder: Path) -> None:
        """Write the means into a checkpoint."""
        means = {name: mean.contiguous() for name, mean in self._means.items()}
        save_file(means, folder / AVERAGE_FILE)

    def load(self, folder: Path) -> None:
        """Read what `save` wrote.

        Raises
        ------
        ArtifactError
            It is not there, damaged, or of other parameters.
        """
        path = folder / AVERAGE_FILE
        try:
            means = load_file(path)
        except (OSError, SafetensorError) as error:
            raise ArtifactError(
                f"{path} cannot be read ({error}), so the training cannot go on exactly. Train the "
                "run again in another folder."
            ) from error
        shapes = {name: parameter.shape for name, parameter in self._parameters.items()}
        if {name: mean.shape for name, mean in means.items()} != shapes:
            raise ArtifactError(
                f"{path} is of other parameters than this run trains. Train it again in another "
                "folder."
            )
        self._means = means

    @torch.no_grad()
    def _set(self, values: dict[str, torch.Tensor]) -> None:
        for name, value in values.items():
            self._parameters[name].copy_(value)

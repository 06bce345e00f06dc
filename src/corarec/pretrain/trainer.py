"""The Hugging Face Trainer, taught a fixed order of batches, whole checkpoints, and NaN."""

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset
from transformers import (
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from corarec.backbone.compiling import compiler_at_hand
from corarec.errors import TrainingError
from corarec.files import atomic_directory, remove_directory
from corarec.gradients import FiniteGradients
from corarec.pretrain.corpus import Corpus
from corarec.pretrain.recipe import OptimizerConfig, PretrainingRecipe

_FINAL_RATE = 0.02
_KEEP_CHECKPOINTS = 2
_CHECKPOINT = "checkpoint"


class StepBatches(Dataset[dict[str, torch.Tensor]]):
    """Item `n` is the whole batch of step `n`, read from the corpus in its order: [B, T]."""

    def __init__(self, corpus: Corpus, recipe: PretrainingRecipe) -> None:
        self._tokens = corpus.tokens
        self._size = recipe.optimizer.batch_tokens
        self._places: list[tuple[int, int]] = []
        start = 0
        for phase in recipe.phases:
            steps = phase.tokens // self._size
            self._places += [(start + n * self._size, phase.block) for n in range(steps)]
            start += phase.tokens

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
        start, block = self._places[step]
        ids = torch.from_numpy(self._tokens[start : start + self._size].astype("int64"))
        return {"input_ids": ids.view(-1, block)}


def rate_factor(step: int, steps: int, config: OptimizerConfig) -> float:
    """Return the share of the peak learning rate at a step, between 0 and 1."""
    warmup = max(1, round(config.warmup_share * steps))
    if step < warmup:
        return (step + 1) / warmup
    if config.schedule == "cosine":
        progress = min(1.0, (step - warmup) / max(1, steps - warmup))
        share = (1 + math.cos(math.pi * progress)) / 2
    else:
        share = min(1.0, max(0.0, (steps - step) / max(1, round(config.decay_share * steps))))
    return _FINAL_RATE + (1 - _FINAL_RATE) * share


def language_loss(model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy of each token given those before it; `ids`: [B, T]."""
    hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
    logits = model.lm_head(hidden)
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())


class LanguageTrainer(Trainer):
    """Pretrain a causal language model on a corpus, step by step in the corpus's own order.

    Parameters
    ----------
    model
        A model with fresh weights.
    batches
        The batch of every step.
    output
        Folder of the checkpoints; each appears under its name only when it is complete.
    callbacks
        What to do on logs.
    measure
        Called with the model and its step just before a checkpoint appears.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        recipe: PretrainingRecipe,
        batches: StepBatches,
        output: Path,
        callbacks: list[TrainerCallback],
        measure: Callable[[PreTrainedModel, int], None] = lambda model, step: None,
    ) -> None:
        self._measure = measure
        optimizer = _adamw(model, recipe.optimizer)
        factor = functools.partial(rate_factor, steps=len(batches), config=recipe.optimizer)
        self._bf16 = recipe.bf16
        self._writing_to = output
        compiled = recipe.compile and compiler_at_hand()
        self._loss = torch.compile(language_loss) if compiled else language_loss
        super().__init__(
            model=model,
            train_dataset=batches,
            data_collator=_only_item,
            callbacks=[*callbacks, FiniteGradients("optimizer.learning_rate")],
            optimizers=(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)),
            args=TrainingArguments(
                output_dir=str(output),
                per_device_train_batch_size=1,
                train_sampling_strategy="sequential",
                max_steps=len(batches),
                max_grad_norm=recipe.optimizer.clip,
                logging_steps=recipe.log_steps,
                logging_nan_inf_filter=False,
                save_steps=recipe.save_steps,
                seed=recipe.seed,
                report_to="none",
                remove_unused_columns=False,
                disable_tqdm=True,
                use_cpu=not torch.cuda.is_available(),
            ),
        )
        self.remove_callback(PrinterCallback)
        self.model_accepts_loss_kwargs = False

    def compute_loss(
        self, model: PreTrainedModel, inputs: dict[str, torch.Tensor], **_: Any
    ) -> torch.Tensor:
        """Return the loss of one batch.

        Raises
        ------
        TrainingError
            The loss is not finite.
        """
        ids = inputs["input_ids"]
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=self._bf16):
            loss = self._loss(model, ids)
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss.item()} at step {self.state.global_step}: lower "
                "optimizer.learning_rate in the recipe, or its clip, and train into a new folder"
            )
        return loss

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._writing_to)

    def _save_checkpoint(self, model: PreTrainedModel, trial: Any) -> None:
        output = Path(self.args.output_dir)
        checkpoint = output / f"checkpoint-{self.state.global_step}"
        self._measure(self.model, self.state.global_step)
        with atomic_directory(checkpoint, _CHECKPOINT, keep_foreign=True) as folder:
            self._writing_to = folder.parent
            super()._save_checkpoint(model, trial)
        remove_old_checkpoints(output)


def last_checkpoint(output: Path) -> Path | None:
    """Return the newest checkpoint of a run; only whole ones bear the name."""
    return next(reversed(_checkpoints(output)), None)


def remove_old_checkpoints(output: Path) -> None:
    """Keep the newest two."""
    for old in _checkpoints(output)[:-_KEEP_CHECKPOINTS]:
        remove_directory(old, _CHECKPOINT)


def _checkpoints(output: Path) -> list[Path]:
    found = output.glob("checkpoint-*")
    ours = [path for path in found if path.name.removeprefix("checkpoint-").isdecimal()]
    return sorted(ours, key=lambda path: int(path.name.removeprefix("checkpoint-")))


def _adamw(model: PreTrainedModel, config: OptimizerConfig) -> torch.optim.AdamW:
    matrices = [weight for weight in model.parameters() if weight.ndim > 1]
    vectors = [weight for weight in model.parameters() if weight.ndim <= 1]
    return torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": config.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        fused=True,
    )


def _only_item(items: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return items[0]

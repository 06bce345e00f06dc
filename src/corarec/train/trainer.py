"""The Hugging Face Trainer, taught four things: pairs, whole checkpoints, the best, and NaN."""

import math
import random
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainingArguments,
)

from corarec.errors import TrainingError
from corarec.files import atomic_directory
from corarec.gradients import FiniteGradients
from corarec.recipe import TrainConfig
from corarec.recommenders.base import Recommender, Validate
from corarec.runs.layout import BEST
from corarec.runs.manifest import Seal
from corarec.score.batches import Batch, Examples
from corarec.train.average import WeightAverage
from corarec.train.checkpoints import (
    CHECKPOINT,
    CHECKPOINTS,
    WEIGHTS,
    check_best,
    is_finished,
    last_checkpoint,
    last_step,
    out_of_patience,
    remove_old_checkpoints,
    tidy,
)
from corarec.train.plan import PlannedBatches, plan_of
from corarec.train.together import (
    check_shares,
    from_first,
    gathered,
    is_first,
    own_seed,
    wait_for_all,
    world,
)


class RecommenderTrainer(Trainer):
    """Train a `Recommender` on its own examples, by the loss that it returns.

    Checkpoints hold the trained weights, the optimizer, the schedule and the random states, and
    appear under their name only when they are complete. The best weights by the system's own
    validation metric are kept apart in `best/`.

    Parameters
    ----------
    examples
        What the recommender learns from.
    validate
        Returns the validation metrics of the recommender as it stands, its own among them.
    folder
        Where the checkpoints go: the run folder, or that of a phase.
    seal
        Binds checkpoints and the best weights to the run.
    best
        Where the best weights go; by default in `folder`.
    """

    control: TrainerControl
    lr_scheduler: Any

    def __init__(
        self,
        recommender: Recommender,
        examples: Examples,
        validate: Validate,
        config: TrainConfig,
        folder: Path,
        seed: int,
        callbacks: list[TrainerCallback],
        seal: Seal | None = None,
        best: Path | None = None,
    ) -> None:
        self.best = best or folder / BEST
        self.config = config
        self.seal = seal
        self.examples = examples
        self.validate = validate
        self.folder = folder
        self.average = WeightAverage(recommender, config.average) if config.average > 0 else None
        self.plan = plan_of(examples, config.batch_size, seed)
        self._writing_to = folder / CHECKPOINTS
        self._substep = 0
        super().__init__(
            model=recommender,
            callbacks=[
                *([self.average] if self.average else []),
                *callbacks,
                FiniteGradients("train.learning_rate"),
            ],
            eval_dataset=[],  # asked for, never read: `validate` has its own rows
            args=TrainingArguments(
                output_dir=str(folder / CHECKPOINTS),
                max_steps=config.steps,
                per_device_train_batch_size=config.batch_size,
                gradient_accumulation_steps=config.accumulate,
                learning_rate=config.learning_rate,
                weight_decay=config.weight_decay,
                max_grad_norm=config.max_gradient_norm,
                eval_strategy="steps",
                eval_steps=config.validate_every,
                save_strategy="steps",
                save_steps=config.validate_every,
                logging_steps=config.log_every,
                logging_nan_inf_filter=False,
                metric_for_best_model=recommender.metric,
                greater_is_better=recommender.higher_is_better,
                ignore_data_skip=True,
                remove_unused_columns=False,
                disable_tqdm=True,
                report_to=list(config.report_to) or "none",
                use_cpu=not torch.cuda.is_available(),
                seed=seed,
            ),
        )
        if world() > 1:
            check_shares(recommender, len(self.plan[0]))
            recommender.gather = gathered
        # Several visible GPUs are no reason to split the batch among them.
        self.args._n_gpu = min(1, self.args.n_gpu)
        self.remove_callback(PrinterCallback)
        # The loss is a mean over the micro-batch; the Trainer then averages over micro-batches.
        self.model_accepts_loss_kwargs = False

    def train_or_resume(self) -> None:
        """Train to the end, from the last whole checkpoint if there is one."""
        if is_first():
            tidy(self.folder, self.best)
        wait_for_all()
        self._first_step = 0
        if checkpoint := last_checkpoint(self.folder):
            if self.seal is not None:
                self.seal.check(checkpoint)
            check_best(self.folder, self.best, self.seal)
            if is_finished(self.folder, self.config):
                return
            self._first_step = last_step(self.folder)
        self.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)

    def get_train_dataloader(self) -> DataLoader[Batch]:
        """Return the batches from the current step on, as many as are asked for."""
        first = self._first_step * self.config.accumulate
        batches = PlannedBatches(self.examples, self.plan, first)
        # An own generator: the loader must not draw from the random state that a checkpoint holds.
        return DataLoader(batches, batch_size=None, generator=torch.Generator())

    def training_step(
        self, model: torch.nn.Module, inputs: Batch, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Return the loss of a batch, its gradients added up."""
        if world() > 1:
            # Dropout of each share follows from the batch, so that no state of it need be kept.
            done = self.state.global_step * self.config.accumulate + self._substep
            self._substep = (self._substep + 1) % self.config.accumulate
            torch.manual_seed(own_seed(self.args.seed, done))
        return super().training_step(model, inputs, num_items_in_batch)

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> Any:
        """Return the loss of a batch.

        Raises
        ------
        TrainingError
            The loss is not a finite number.
        """
        loss: torch.Tensor = model(**inputs)
        if not torch.isfinite(loss):
            raise TrainingError(
                f"The loss became {loss.item()} at step {self.state.global_step + 1}. The last "
                f"whole checkpoint is kept in {self.args.output_dir}. Lower train.learning_rate "
                f"({self.config.learning_rate}) or use system.backbone.dtype: float32."
            )
        if world() > 1:
            # Gradients are averaged over the processes, and each has those of its own rows.
            loss = loss.detach() + world() * (loss - loss.detach())
        return (loss, None) if return_outputs else loss

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Compute the validation metrics of the weights as they are, in the first process."""
        values = from_first(self._validated() if is_first() else None)
        chosen = values.get(self.model.metric)
        if chosen is None or not math.isfinite(chosen):
            raise TrainingError(
                f"The validation at step {self.state.global_step} gave {values}, where "
                f"{self.model.metric} chooses the best weights and must be a finite number."
            )
        metrics = {f"eval_{name}": value for name, value in values.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def _validated(self) -> dict[str, float]:
        self.model.eval()
        with self._chosen_weights():
            values = self.validate()
        self.model.train()
        return values

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> Any:
        """Set up the warm-up and the cosine of `TrainConfig`."""
        if self.lr_scheduler is None:
            config = self.config
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
                optimizer or self.optimizer,
                lambda step: config.learning_rate_at(step) / config.learning_rate,
            )
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        improved = bool(super()._determine_best_metric(metrics, trial))
        if improved and is_first():
            with (
                self._chosen_weights(),
                atomic_directory(self.best, WEIGHTS, keep_foreign=True) as folder,
            ):
                self.model.save(folder)
                if self.seal is not None:
                    self.seal.write(folder)
        if out_of_patience(self.config, self.state.global_step, self.state.best_global_step):
            self.control.should_training_stop = True
        return improved

    def _chosen_weights(self) -> AbstractContextManager[None]:
        """Give the model, within a block, the weights that are validated and kept."""
        return self.average.in_place() if self.average else nullcontext()

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._writing_to)

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        if is_first():
            self._write_checkpoint(model, trial)
        else:
            super()._save_checkpoint(model, trial)  # which waits for the first, and writes nothing
        wait_for_all()

    def _write_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        checkpoint = self.folder / CHECKPOINTS / f"checkpoint-{self.state.global_step}"
        with atomic_directory(checkpoint, CHECKPOINT, keep_foreign=True) as folder:
            self._writing_to = folder.parent
            super()._save_checkpoint(model, trial)
            if self.average:
                self.average.save(folder)
            if self.seal is not None:
                self.seal.write(folder)
        remove_old_checkpoints(self.folder)

    def _save_rng_state(self, output_dir: str) -> None:
        if world() == 1:
            super()._save_rng_state(output_dir)
        elif is_first():  # for whoever goes on alone
            states = {
                "python": random.getstate(),
                "numpy": np.random.get_state(),
                "cpu": torch.random.get_rng_state(),
            }
            if torch.cuda.is_available():
                states["cuda"] = torch.cuda.random.get_rng_state()
            torch.save(states, Path(output_dir) / "rng_state.pth")

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if world() == 1:
            super()._load_rng_state(checkpoint)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        # The state, saved next, would name a folder that is renamed, and a resumed run miss it.
        self.state.best_model_checkpoint = None
        super()._save_optimizer_and_scheduler(output_dir)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            # The rate of the coming step was saved by the course that the run had then.
            scheduler = self.lr_scheduler
            rates = (
                base * factor(scheduler.last_epoch)
                for base, factor in zip(scheduler.base_lrs, scheduler.lr_lambdas, strict=True)
            )
            for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
                group["lr"] = rate

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        if not is_first():
            return
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        self.model.save(folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        self.model.load(Path(resume_from_checkpoint))
        if self.average:
            self.average.load(Path(resume_from_checkpoint))

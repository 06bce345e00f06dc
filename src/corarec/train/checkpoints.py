"""The checkpoints of a training: which there are, how far they came, and which may go."""

import json
from pathlib import Path

from transformers.trainer import TRAINER_STATE_NAME

from corarec.errors import ArtifactError
from corarec.files import remove_directory
from corarec.recipe import TrainConfig
from corarec.runs.manifest import Seal
from corarec.staging import sweep

CHECKPOINTS = "checkpoints"
KEEP_CHECKPOINTS = 2
WEIGHTS, CHECKPOINT = "weights", "checkpoint"
"""What the markers of their folders say."""


def _checkpoints(folder: Path) -> list[Path]:
    found = (folder / CHECKPOINTS).glob("checkpoint-*")
    ours = [path for path in found if path.name.removeprefix("checkpoint-").isdecimal()]
    return sorted(ours, key=lambda path: int(path.name.removeprefix("checkpoint-")))


def remove_old_checkpoints(folder: Path) -> None:
    """Remove all but the newest checkpoints of a folder."""
    for old in _checkpoints(folder)[:-KEEP_CHECKPOINTS]:
        remove_directory(old, CHECKPOINT)


def tidy(folder: Path, best: Path) -> None:
    """Remove what a killed training left: half-written folders and checkpoints too many."""
    for written in dict.fromkeys((best.parent, folder, folder / CHECKPOINTS)):
        sweep(written)
    remove_old_checkpoints(folder)


def out_of_patience(config: TrainConfig, step: int, best_step: int | None) -> bool:
    """Return whether the last better validation is too long ago."""
    return step - (best_step or 0) >= config.patience * config.validate_every


def is_finished(folder: Path, config: TrainConfig) -> bool:
    """Return whether the training whose checkpoints lie in `folder` has come to its end."""
    step, best_step = _progress(folder)
    return step > 0 and (step >= config.steps or out_of_patience(config, step, best_step))


def check_best(folder: Path, best: Path, seal: Seal | None) -> None:
    """Refuse to go on, or to be done, without the weights that were the best.

    Raises
    ------
    ArtifactError
        They are gone or damaged.
    """
    _, step = _progress(folder)
    if step is None:
        return
    if not best.is_dir():
        raise ArtifactError(
            f"{best} is gone, and with it the best weights (of step {step}), which nothing "
            "else holds. Put it back, or train again into another folder."
        )
    if seal is not None:
        seal.check(best)


def _progress(folder: Path) -> tuple[int, int | None]:
    """Return the step of the newest whole checkpoint, 0 without one, and that of the best."""
    checkpoint = last_checkpoint(folder)
    if checkpoint is None:
        return 0, None
    state = json.loads((checkpoint / TRAINER_STATE_NAME).read_text("utf-8"))
    return int(state["global_step"]), state["best_global_step"]


def last_checkpoint(folder: Path) -> Path | None:
    """Return the newest whole checkpoint of a run folder."""
    return next(reversed(_checkpoints(folder)), None)


def last_step(folder: Path) -> int:
    """Return the optimizer step of the newest whole checkpoint, 0 without one."""
    checkpoint = last_checkpoint(folder)
    return 0 if checkpoint is None else int(checkpoint.name.rpartition("-")[2])

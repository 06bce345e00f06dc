"""How far the training in a run folder has come."""

from pathlib import Path
from typing import Literal

from corarec.recipe import RunConfig
from corarec.runs.layout import BEST, CONFIG, phase_folder
from corarec.train.checkpoints import is_finished
from corarec.train.record import read_training

Trained = Literal["new", "begun", "finished"]


def run_state(folder: Path, config: RunConfig) -> Trained:
    """Return whether `train_run` of a config would begin, go on or have nothing to do.

    A folder without a config is new; one with damaged checkpoints has begun.
    """
    if not (folder / CONFIG).exists():
        return "new"
    last = config.phases[-1]
    try:
        if is_finished(phase_folder(folder, last), last.train):
            return "finished"
    except (OSError, ValueError, KeyError, TypeError):
        return "begun"
    return "finished" if (folder / BEST).is_dir() and _trains_nothing(folder, config) else "begun"


def _trains_nothing(folder: Path, config: RunConfig) -> bool:
    if type(config.system).parameter_groups == ():
        return True
    record = read_training(folder)
    return record is not None and record.sessions != [] and record.trainable_parameters == 0

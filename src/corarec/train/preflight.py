"""What a training asks of the machine, checked before any work."""

import importlib.util
import os

import torch

from corarec.errors import ConfigError
from corarec.recipe import TrainConfig

# Beyond its CPUs a machine gains nothing; a run that is resumed on a smaller machine must still
# have the threads that it began with, or it would end with other weights.
_THREADS_PER_CPU = 4
_ALWAYS_ALLOWED = 64
_PACKAGES = {"tensorboard": ("tensorboard", "tensorboardX"), "wandb": ("wandb",)}


def preflight(config: TrainConfig) -> None:
    """See that every tracker is installed, and set the CPU threads.

    Raises
    ------
    ConfigError
        A package is missing, or there are far more threads than the machine can run.
    """
    for tracker in config.report_to:
        packages = _PACKAGES.get(tracker, (tracker,))
        if not any(importlib.util.find_spec(package) for package in packages):
            raise ConfigError(
                f"train.report_to names {tracker}, whose package is not installed. Type: pip "
                "install 'corarec[track]', or take it out of the recipe; metrics.jsonl is always "
                "written."
            )
    if config.threads is not None:
        set_threads(config.threads)


def set_threads(threads: int) -> None:
    """Let torch use so many CPU threads.

    Raises
    ------
    ConfigError
        That is far more than the machine can run; torch would end with a segmentation fault.
    """
    cpus = os.cpu_count() or 1
    limit = max(_ALWAYS_ALLOWED, _THREADS_PER_CPU * cpus)
    if threads > limit:
        raise ConfigError(
            f"train.threads is {threads:,}, but this machine has {cpus} CPUs, and at most {limit} "
            f"threads are taken. Set it to {cpus} or less."
        )
    torch.set_num_threads(threads)

"""Several processes that train one run: who is who, who writes, and how a batch is split."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import numpy as np
import torch
from accelerate import PartialState
from torch import distributed

from corarec.errors import ConfigError
from corarec.recommenders.base import Recommender

_LONGEST_WAIT = timedelta(days=2)
"""For the first process to validate; one that ends takes the others with it long before."""


def begin() -> None:
    """Join the processes that `torchrun` or `accelerate launch` started with this one.

    Raises
    ------
    ConfigError
        They do not find each other.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) <= 1 or distributed.is_initialized():
        return
    try:
        PartialState(cpu=not torch.cuda.is_available(), timeout=_LONGEST_WAIT)
    except (ValueError, RuntimeError, KeyError) as error:
        raise ConfigError(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, but the other processes were not found "
            f"({error}). Start all with torchrun or accelerate launch, or unset WORLD_SIZE."
        ) from error


def world() -> int:
    """Return how many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Return which of them this one is, from 0: the first one writes."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def is_first() -> bool:
    """Return whether this process writes, prints and validates."""
    return rank() == 0


def wait_for_all() -> None:
    """Go on when every process has come here."""
    if world() > 1:
        distributed.barrier()


def check_shares(recommender: Recommender, batch_size: int) -> None:
    """See that every process can have a share of every batch.

    Raises
    ------
    ConfigError
        The loss of the system is not one of shares, there are more processes than rows, or the
        language model lies on several devices already.
    """
    if not recommender.splits_batches:
        raise ConfigError(
            f"The loss of {type(recommender).__name__} is made of a whole batch, so {world()} "
            "processes cannot share one. Train it in one process; spread a large model with "
            "system.backbone.device_map: auto."
        )
    if batch_size < world():
        raise ConfigError(
            f"A batch has {batch_size} rows, too few for {world()} processes. Raise "
            "train.batch_size, or start fewer."
        )
    if len({parameter.device for parameter in recommender.parameters()}) > 1:
        raise ConfigError(
            f"system.backbone.device_map spreads the model over several devices, and {world()} "
            "processes were started, each of which wants one. Start one process, or leave "
            "device_map out."
        )


@contextmanager
def first_alone() -> Iterator[None]:
    """Let the first process run the block, and the others when it has."""
    if not is_first():
        wait_for_all()
    yield
    if is_first():
        wait_for_all()


def from_first(values: dict[str, float] | None) -> dict[str, float]:
    """Return what the first process gave here; the others give None."""
    box = [values]
    if world() > 1:
        distributed.broadcast_object_list(box, src=0)
    found = box[0]
    assert found is not None, "the first process gives it"
    return found


def share(count: int) -> slice:
    """Return which rows of a batch of so many are this process's."""
    whole, rest = divmod(count, world())
    first = rank() * whole + min(rank(), rest)
    return slice(first, first + whole + (rank() < rest))


def gathered(own: torch.Tensor) -> torch.Tensor:
    """Return the rows of all processes in their order; only one's own have gradients.

    Parameters
    ----------
    own
        [n, ...]; `n` may differ from process to process.
    """
    size = torch.tensor([len(own)], device=own.device)
    sizes = [torch.zeros_like(size) for _ in range(world())]
    distributed.all_gather(sizes, size)
    counts = [int(each) for each in sizes]
    padded = own.new_zeros((max(counts), *own.shape[1:]))
    padded[: len(own)] = own.detach()
    parts = [torch.empty_like(padded) for _ in counts]
    distributed.all_gather(parts, padded)
    return torch.cat(
        [
            own if number == rank() else part[:count]
            for number, (part, count) in enumerate(zip(parts, counts, strict=True))
        ]
    )


def own_seed(seed: int, batch: int) -> int:
    """Return the seed of this process's random numbers in a batch."""
    return int(np.random.SeedSequence((seed, batch, rank())).generate_state(1)[0])

"""The increment of one pair on whatever the model reads, as long as a block lasts."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from corarec.adapter.binding import Increment
from corarec.adapter.config import CoraConfig
from corarec.adapter.model import CoraModel


@contextmanager
def held_pair(tuner: CoraModel, cf_vectors: torch.Tensor) -> Iterator[Any]:
    """Yield the plain model inside `tuner`, every row and token of it under one pair's increment.

    The model can be called and can generate as Transformers has it, with any number of rows; no
    weight changes, and other threads see nothing of it.

    Parameters
    ----------
    tuner
        The `base_model` of a PEFT model with CoRA.
    cf_vectors
        [2d] of the pair.

    Raises
    ------
    DataError
        The shape of `cf_vectors` is wrong.
    """
    config: CoraConfig = tuner.peft_config[tuner.active_adapters[0]]
    matrices = {width: matrix[None] for width, matrix in tuner.pair_matrices(cf_vectors).items()}
    with tuner.binding.scope(Increment(matrices, config.scale, repeats=True)):
        yield tuner.model

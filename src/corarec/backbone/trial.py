"""A trial that a model undergoes: made-up prompts are answered as it does itself and in our way."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel

from corarec.backbone.attention import NotSharedError

TOLERANCE_16_BIT = 0.05
"""How far, relative to the largest, logits of 16-bit weights may lie from the model's own."""
_TOKENS = 12


def made_up_prompts(model: PreTrainedModel) -> torch.Tensor:
    """Return the ids of three prompts, on the CPU: [3, 12]."""
    vocabulary = model.get_input_embeddings().weight.shape[0]
    rng = torch.Generator().manual_seed(0)
    return torch.randint(0, vocabulary, (3, _TOKENS), generator=rng)


def check_alike(
    model: PreTrainedModel,
    whole: torch.Tensor,
    found: torch.Tensor,
    tolerances: Mapping[torch.dtype, float],
) -> None:
    """See that two ways gave the same logits, [B, vocabulary] both.

    Parameters
    ----------
    whole
        The model's own.
    tolerances
        How far others may lie from them, relative to the largest, by the type of the weights.

    Raises
    ------
    NotSharedError
        They lie further apart, or are no numbers.
    """
    tolerance = tolerances.get(next(model.parameters()).dtype, TOLERANCE_16_BIT)
    distance = (whole - found).abs().max() / whole.abs().max()
    if not distance <= tolerance:
        raise NotSharedError(
            f"its answers then differ by {distance:.1e} of the largest, more than {tolerance}"
        )


@contextmanager
def failing() -> Iterator[None]:
    """Turn what a model cannot do in the block into a reason.

    Raises
    ------
    NotSharedError
        It could not.
    """
    try:
        yield
    except (TypeError, ValueError, RuntimeError, IndexError, AttributeError) as error:
        raise NotSharedError(f"a trial failed: {' '.join(str(error).split())[:200]}") from error

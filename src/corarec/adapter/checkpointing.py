"""Gradient checkpointing: a block that is recomputed in the backward pass finds its matrices."""

from functools import partial

from torch import nn

from corarec.adapter.binding import Binding
from corarec.errors import ConfigError


def carry_through_checkpoints(model: nn.Module, binding: Binding) -> None:
    """Make every checkpointed block of `model` bind its increment again when it is recomputed.

    The blocks of Transformers call a `functools.partial` of `torch.utils.checkpoint.checkpoint`,
    set whenever checkpointing is switched on, by whomever; so it is looked at in every forward
    pass that trains.

    Raises
    ------
    ConfigError
        The checkpointing is reentrant, or not that of torch, and offers no way to do so.
    """
    for module in model.modules():
        if not getattr(module, "gradient_checkpointing", False):
            continue
        checkpoint = getattr(module, "_gradient_checkpointing_func", None)
        settings = checkpoint.keywords if isinstance(checkpoint, partial) else {}
        context = settings.get("context_fn")
        if context == binding.checkpoint_contexts:
            continue
        if not isinstance(checkpoint, partial) or settings.get("use_reentrant") or context:
            raise ConfigError(
                "CoRA works with gradient checkpointing of torch's non-reentrant kind and without "
                f"a context_fn of its own; the blocks call {checkpoint!r}. Switch it on with "
                "gradient_checkpointing_kwargs={'use_reentrant': False}."
            )
        module._gradient_checkpointing_func = partial(  # type: ignore[assignment]
            checkpoint, use_reentrant=False, context_fn=binding.checkpoint_contexts
        )

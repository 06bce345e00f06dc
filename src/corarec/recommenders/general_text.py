"""The language model of a system where it serves text that is no prompt of the system."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def plain_model(model: Any) -> Any:
    """Return the causal language model itself, what PEFT put into its layers left in place."""
    return getattr(model, "get_base_model", lambda: model)()


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Keep a model in evaluation mode for a while."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)

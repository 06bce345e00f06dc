"""Training of the second stage, in run folders that can always be resumed."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from corarec.train.run import train_run

__all__ = ["train_run"]


def __getattr__(name: str) -> Any:
    # The metrics log and the doctor do without the Hugging Face Trainer, which takes seconds to
    # import.
    if name != "train_run":
        raise AttributeError(f"module 'corarec.train' has no attribute {name!r}")
    from corarec.train.run import train_run

    return train_run

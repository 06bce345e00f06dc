"""The state of a fit in the middle, so that a killed one can go on where it was."""

import hashlib
import json
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from corarec.cf.data import FitData
from corarec.errors import ArtifactError
from corarec.files import atomic_file
from corarec.types import Config


def purpose_of(config: Config, seed: int, data: FitData) -> str:
    """Return what makes a fit this fit: its options, its seed and a fingerprint of its data."""
    digest = hashlib.sha256()
    for pairs, labels in ((data.train, data.train_labels), (data.valid, data.valid_labels)):
        for array in (pairs.user_ids, pairs.item_ids, pairs.histories.end, labels):
            digest.update(array.astype(np.int64).tobytes())
        digest.update(pairs.histories.liked_items.astype(np.int64).tobytes())
    return json.dumps([config.model_dump(mode="json"), seed, digest.hexdigest()])


class Checkpointer:
    """Writes the state of one fit every so often and reads it back.

    Parameters
    ----------
    path
        The file; with `None` nothing is written and nothing read.
    purpose
        What makes this fit the same fit (config, seed, data); a file with another purpose is an
        error, never silently continued.
    every_seconds
        Least time between two writes.
    """

    def __init__(self, path: Path | None, purpose: str, every_seconds: float = 30.0) -> None:
        self._path = path
        self._purpose = purpose
        self._every_seconds = every_seconds
        self._written = time.monotonic()

    @classmethod
    def of(cls, path: Path | None, config: Config, seed: int, data: FitData) -> "Checkpointer":
        """Return that of a fit; without a path it neither writes nor reads."""
        return cls(path, "" if path is None else purpose_of(config, seed, data))

    def read(self) -> dict[str, Any] | None:
        """Return the state written last, or `None` where there is none.

        Raises
        ------
        ArtifactError
            The file is damaged, or belongs to another fit.
        """
        if self._path is None or not self._path.exists():
            return None
        advice = f"Delete {self._path} to start afresh."
        try:
            content = torch.load(self._path, weights_only=True)
        except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise ArtifactError(
                f"The checkpoint {self._path} is cut off or damaged ({error}). {advice}"
            ) from error
        if not isinstance(content, dict) or content.get("purpose") != self._purpose:
            raise ArtifactError(
                f"The checkpoint {self._path} belongs to a fit with other options, another seed or "
                f"other data. {advice}"
            )
        state: dict[str, Any] = content["state"]
        return state

    def write_if_due(self, state: Callable[[], dict[str, Any]]) -> None:
        """Write the state if the last write lies far enough back."""
        if self._path is None or time.monotonic() - self._written < self._every_seconds:
            return
        with atomic_file(self._path) as temporary:
            torch.save({"purpose": self._purpose, "state": state()}, temporary)
        self._written = time.monotonic()

    def remove(self) -> None:
        """Delete the file: the fit is over."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

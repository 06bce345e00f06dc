"""What a training cost and what ran it, kept in the run folder: `training.json`."""

import os
import sys
import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from corarec.errors import ArtifactError
from corarec.files import read_json, write_json
from corarec.provenance import commit, versions
from corarec.train.together import world

try:
    import resource
except ImportError:  # Windows
    resource: Any = None  # type: ignore[no-redef]

TRAINING = "training.json"


class Session(BaseModel):
    """One process that trained, from its start or from a checkpoint, as far as it checkpointed."""

    # What a later version adds is no reason to know nothing.
    model_config = ConfigDict(extra="ignore", frozen=True)

    started: str
    """UTC, ISO 8601."""
    commit: str | None
    """Of the code, see `corarec.provenance.commit`."""
    versions: dict[str, str]
    threads: int = Field(ge=1)
    processes: int = Field(default=1, ge=1)
    """How many trained together; what follows is of the first."""
    device: str
    seconds: float = Field(ge=0, allow_inf_nan=False)
    """Wall clock, a fit of the CF model and the loading of the language model included."""
    cpu_seconds: float = Field(ge=0, allow_inf_nan=False)
    """Of all threads of the process."""
    peak_memory_mb: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """The largest resident size of the process; None where the system does not tell."""
    peak_gpu_memory_mb: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """The most that torch had allocated on the GPU; None without one."""


class TrainingRecord(BaseModel):
    """What `training.json` says."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    trainable_parameters: int = Field(ge=0)
    """Of the phase that trains most."""
    sessions: list[Session] = []
    """Oldest first."""

    @property
    def seconds(self) -> float:
        """Wall clock of all sessions."""
        return sum(session.seconds for session in self.sessions)

    @property
    def cpu_seconds(self) -> float:
        """CPU time of all sessions."""
        return sum(session.cpu_seconds for session in self.sessions)

    @property
    def peak_memory_mb(self) -> float | None:
        """The largest of all sessions."""
        return _largest([session.peak_memory_mb for session in self.sessions])

    @property
    def peak_gpu_memory_mb(self) -> float | None:
        """The largest of all sessions."""
        return _largest([session.peak_gpu_memory_mb for session in self.sessions])


class Recorder(TrainerCallback):
    """Keeps the record of a run: it is written anew at every checkpoint.

    What a process did after its last checkpoint is not in it, as it is not in the weights.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        before = read_training(folder)
        self.earlier = before.sessions if before else []
        """What processes before this one did."""
        self._trainable = before.trainable_parameters if before else 0
        self._started, self._cpu = time.monotonic(), time.process_time()
        self._made = {
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "commit": _loaded_commit(),
            "versions": versions(),
        }
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()

    def trains(self, parameters: int) -> None:
        """Hear how many parameters a phase trains."""
        self._trainable = max(self._trainable, parameters)

    def write(self) -> None:
        """Keep what there is so far."""
        gpu = torch.cuda.is_available()
        session = Session(
            **self._made,
            threads=torch.get_num_threads(),
            processes=world(),
            device=torch.cuda.get_device_name() if gpu else "cpu",
            seconds=round(time.monotonic() - self._started, 3),
            cpu_seconds=round(time.process_time() - self._cpu, 3),
            peak_memory_mb=peak_memory_mb(),
            peak_gpu_memory_mb=round(torch.cuda.max_memory_allocated() / 2**20, 1) if gpu else None,
        )
        record = TrainingRecord(
            trainable_parameters=self._trainable, sessions=[*self.earlier, session]
        )
        write_json(self._folder / TRAINING, record.model_dump(mode="json"))

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Keep what there is so far."""
        self.write()


def read_training(folder: Path) -> TrainingRecord | None:
    """Return the record of a run; None where it was trained before there was one, or is damaged."""
    try:
        return TrainingRecord.model_validate(read_json(folder / TRAINING))
    except (ArtifactError, ValidationError):
        return None


def peak_memory_mb() -> float | None:
    """Return the largest resident size that this process had; None where that is not known."""
    if resource is None or os.name != "posix":
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


@cache
def _loaded_commit() -> str | None:
    """Return the commit of the code of this process, which is what it loaded once."""
    return commit()


def _largest(values: list[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)

"""One record per interval, the same to the file and to the console."""

import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from corarec.records import append_record, keep_records, read_records

METRICS = "metrics.jsonl"
Record = dict[str, Any]
"""Numbers by name, and the name of the phase where there are phases."""


class MetricsLog(TrainerCallback):
    """Append what the trainer logs to `metrics.jsonl` and hand it to `show`.

    Names carry their unit. A resumed run first drops the records behind its checkpoint, so the
    file reads as if the run had never stopped. Records of a phase carry its name, and count its own
    steps; seconds are those of the whole run.
    """

    def __init__(self, folder: Path, show: Any, phase: str = "") -> None:
        self.path = folder / METRICS
        self.show = show
        self.phase = {"phase": phase} if phase else {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Forget what a killed run logged after its last checkpoint."""
        kept = keep_records(self.path, state.global_step, self.phase.get("phase"))
        self.seconds = kept[-1].get("seconds", 0.0) if kept else 0.0
        self.started = time.monotonic()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float],
        **_: Any,
    ) -> None:
        """Write one record."""
        names = {"loss": "train_loss", "grad_norm": "gradient_norm"}
        record: Record = self.phase | {"step": state.global_step}
        for name, value in logs.items():
            if name not in ("epoch", "total_flos") and not name.startswith("train_"):
                record[names.get(name, name.replace("eval_", "valid_"))] = value
        if len(record) == 1 + len(self.phase):
            return
        record["seconds"] = round(self.seconds + time.monotonic() - self.started, 3)
        append_record(self.path, record)
        self.show(record)


def read_metrics(folder: Path) -> list[Record]:
    """Return the records of a run folder, oldest first; none if it has not been trained.

    A last line that was cut off in the middle of a write is left out.

    Raises
    ------
    ArtifactError
        A line before the last is not JSON.
    """
    return read_records(folder / METRICS)


def best_record(records: list[Record], metric: str, higher_is_better: bool) -> Record | None:
    """Return the record of the validation that chose the weights; None before the first.

    Where there are phases, it is one of the last that has begun.
    """
    name = f"valid_{metric}"
    last = records[-1].get("phase") if records else None
    found = [each for each in records if name in each and each.get("phase") == last]
    choose = max if higher_is_better else min
    return choose(found, key=lambda record: record[name], default=None)

"""One record per interval, the same to the file and to the console."""

import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from corarec.records import append_record, keep_records, read_records

METRICS = "metrics.jsonl"
Record = dict[str, float]


class MetricsLog(TrainerCallback):
    """Append what the trainer logs to `metrics.jsonl` and hand it to `show`.

    Names carry their unit. A resumed run first drops the records behind its checkpoint, so the
    file reads as if the run had never stopped.
    """

    def __init__(self, folder: Path, show: Any) -> None:
        self.path = folder / METRICS
        self.show = show

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Forget what a killed run logged after its last checkpoint."""
        kept = keep_records(self.path, state.global_step)
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
        record: Record = {"step": state.global_step}
        for name, value in logs.items():
            if name not in ("epoch", "total_flos") and not name.startswith("train_"):
                record[names.get(name, name.replace("eval_", "valid_"))] = value
        if len(record) == 1:
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

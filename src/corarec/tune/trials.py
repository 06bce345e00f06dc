"""What is known of the trials of a tuning."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl
import yaml

from corarec.files import atomic_file
from corarec.recipe import RunConfig
from corarec.tune.space import Range, Space, Values

State = Literal["complete", "pruned", "failed", "running"]
TRIALS = "trials"
TABLE = "trials.parquet"
BEST_RECIPE = "best.yaml"


@dataclass(frozen=True)
class Trial:
    """One training."""

    number: int
    """From 0 on."""
    state: State
    values: Values
    """The tuned keys."""
    value: float | None
    """The metric on validation, of the weights that the training kept."""
    step: int | None
    """The step of those weights, of the last phase where there are phases."""
    seconds: float | None
    """Of training and validation."""
    reason: str | None
    """Why it failed, or was pruned."""

    @property
    def folder(self) -> str:
        """Where its run is, seen from the folder of the tuning."""
        return f"{TRIALS}/{self.number:03d}"


@dataclass(frozen=True)
class Ended:
    """What came of a training; see `Trial`."""

    state: State
    value: float | None = None
    step: int | None = None
    seconds: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Outcome:
    """Where a tuning stands."""

    folder: Path
    metric: str
    higher_is_better: bool
    budget: int
    trials: Sequence[Trial]

    @property
    def best(self) -> Trial | None:
        """The complete trial with the best value, the first of several; None without any."""
        done = [trial for trial in self.trials if trial.state == "complete"]
        sign = 1 if self.higher_is_better else -1
        return max(done, key=lambda trial: sign * (trial.value or 0.0), default=None)

    def count(self, state: State) -> int:
        """Return how many trials are in a state."""
        return sum(trial.state == state for trial in self.trials)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        rows = [asdict(trial) | {"folder": trial.folder} for trial in self.trials]
        return {
            "output": str(self.folder),
            "metric": self.metric,
            "higher_is_better": self.higher_is_better,
            "budget": self.budget,
            "best": None if self.best is None else rows[self.best.number],
            "recipe": None if self.best is None else str(self.folder / BEST_RECIPE),
            "trials": rows,
        }


def write_outcome(outcome: Outcome, space: Space) -> None:
    """Write the table of the trials and, where one is complete, the recipe of the best."""
    with atomic_file(outcome.folder / TABLE) as temporary:
        table(outcome, space).write_parquet(temporary)
    if (best := outcome.best) is not None:
        text = best_recipe(outcome, best, space.config(best.values))
        with atomic_file(outcome.folder / BEST_RECIPE) as temporary:
            temporary.write_text(text, "utf-8")


def table(outcome: Outcome, space: Space) -> pl.DataFrame:
    """Return a row per trial: what is known of it, then a column per tuned key.

    Choices are as JSON writes them.
    """
    drawn = {
        key: pl.Series(
            key,
            [axis.drawn(trial.values[key]) for trial in outcome.trials],
            (pl.Int64 if axis.whole else pl.Float64) if isinstance(axis, Range) else pl.String,
        )
        for key, axis in space.axes.items()
    }
    known: dict[str, Any] = {
        "trial": pl.Int64,
        "state": pl.String,
        outcome.metric: pl.Float64,
        "step": pl.Int64,
        "seconds": pl.Float64,
        "folder": pl.String,
        "reason": pl.String,
    }
    rows = [
        (t.number, t.state, t.value, t.step, t.seconds, t.folder, t.reason) for t in outcome.trials
    ]
    return pl.DataFrame(rows, schema=known, orient="row").with_columns(*drawn.values())


def best_recipe(outcome: Outcome, best: Trial, config: RunConfig) -> str:
    """Return the recipe of a trial, all defaults spelled out, and how it came to be chosen."""
    config = config.model_copy(update={"data": config.data.resolve()})
    kept = "" if best.step is None else f" at step {best.step}"
    lines = [
        f"# Trial {best.number} of {outcome.budget}: {outcome.metric} {best.value:.6g} on "
        f"validation{kept}; chosen on validation alone.",
        *(f"# {key}: {value!r}" for key, value in best.values.items()),
    ]
    values = config.model_dump(mode="json")
    return "\n".join([*lines, yaml.safe_dump(values, sort_keys=False, allow_unicode=True)])

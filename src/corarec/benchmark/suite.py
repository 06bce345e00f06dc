"""A suite: the rows of a table, each a recipe, runs of another suite or something beside a row."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from corarec.benchmark.references import HISTORY_LENGTH, ITEM_RATE, LOGISTIC_REGRESSION
from corarec.errors import did_you_mean
from corarec.evaluate.metrics import DEFAULT_METRICS, METRICS, metrics_named
from corarec.text import is_steering
from corarec.types import Config

BESIDE = " | "
"""`CoRA | mf alone` names what was evaluated beside the runs of a row."""
REFERENCES = (ITEM_RATE, LOGISTIC_REGRESSION, HISTORY_LENGTH)
"""The trivial references stand in every table under these names."""
KINDS = ("recipe", "use", "beside", "ensemble")
"""What a row can be."""
MOST_SEEDS = 1_000
LONGEST_FOLDER = 200
"""Bytes of the name of a run's folder."""

Seed = Annotated[int, Field(strict=True, ge=0, le=2**32 - 1)]
Names = Annotated[tuple[str, ...], Field(min_length=1)]


class Published(Config):
    """What somebody else reports of a system; in YAML `{AUC: 0.71, UAUC: 0.68, source: ...}`."""

    source: str = "published"
    """Where it stands."""
    metrics: dict[str, float]
    """By name, over all rows."""

    @model_validator(mode="before")
    @classmethod
    def _gathered(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "metrics" in values:
            return values
        names = {key: str(key).lower() for key in values if key != "source"}
        if unknown := [key for key, name in names.items() if name not in METRICS]:
            raise ValueError(
                f"{unknown[0]!r} is no metric; known are {', '.join(METRICS)}, and `source`"
            )
        metrics = {name: values[key] for key, name in names.items()}
        return {"metrics": metrics} | {key: values[key] for key in values if key == "source"}


class Used(Config):
    """Runs of another suite, which are shown and never made."""

    suite: Path
    """Seen from this suite's file; or from the working directory."""
    row: str


class StartFrom(Config):
    """The weights of another row's run of the same seed take the place of a phase."""

    row: str
    """Its run is made first."""
    instead_of: str | None = None
    """The phase that is left out, so that the one after it starts there; by default the first."""


class Row(Config):
    """One row: either a `recipe`, or `use`, or `beside`, or `ensemble`."""

    recipe: Path | None = None
    """Trained here."""
    set: tuple[str, ...] = ()
    """Overrides of the recipe, after those of the suite."""
    init_from: StartFrom | None = None
    """Shares a phase of the training with another row."""
    use: Used | None = None
    """A row of another suite."""
    beside: str | None = None
    """Something that was evaluated beside a row, as in `CoRA | mf alone`."""
    ensemble: str | None = None
    """The runs of a row as one system: the mean of their logits over the seeds."""
    published: tuple[Published, ...] = ()
    """One or several."""

    @property
    def has_runs(self) -> bool:
        """Whether runs are its own, made here or elsewhere; else it follows from other rows."""
        return self.beside is None and self.ensemble is None

    @field_validator("published", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _one_kind(self) -> "Row":
        kinds = [name for name in KINDS if getattr(self, name) is not None]
        if len(kinds) != 1:
            raise ValueError(f"a row is one of {', '.join(KINDS)}; here: {kinds or 'none'}")
        if self.recipe is None and (self.set or self.init_from):
            raise ValueError(f"`set` and `init_from` go with a recipe, not with `{kinds[0]}`")
        return self


class PartsOption(Config):
    """Parts beside all, warm and cold."""

    interactions: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """For each number: the rows whose user and item both have so many rows in train, and the
    others; 1 is the same as warm and cold."""
    item_rows: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Rising numbers that part the rows by how many rows of their item are in train: [1, 6] gives
    0, 1 to 5, and 6 or more."""

    @field_validator("item_rows")
    @classmethod
    def _rising(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if sorted(set(value)) != list(value):
            raise ValueError(f"{list(value)} came, wanted are rising numbers")
        return value


class Suite(Config):
    """What to train and what to compare."""

    title: str = ""
    notes: str = ""
    """Stands below the table."""
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=MOST_SEEDS)] = (0,)
    split: Literal["valid", "test"] = "valid"
    set: tuple[str, ...] = ()
    """Overrides of every recipe."""
    use: Path | None = None
    """Another suite whose rows are taken first, with their runs; those below are added. Seeds and
    split are those of that suite, where this one says nothing."""
    systems: dict[str, Row] = Field(default_factory=dict)
    comparisons: tuple[tuple[str, str], ...] = ()
    """Names of rows, of trivial references, or of what stands beside a row: `CoRA | mf alone`."""
    against: tuple[str, ...] = ()
    """Every row is compared with each of these, too."""
    metrics: Names = DEFAULT_METRICS
    parts: PartsOption = PartsOption()

    @field_validator("against", mode="before")
    @classmethod
    def _one_name(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("seeds", "against", "metrics")
    @classmethod
    def _each_once(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if twice := [each for each in value if value.count(each) > 1]:
            raise ValueError(f"{twice[0]!r} stands there twice")
        return value

    @field_validator("metrics")
    @classmethod
    def _metrics_there_are(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        metrics_named(value)
        return value

    @model_validator(mode="after")
    def _names_there_are(self) -> "Suite":
        if not self.systems and self.use is None:
            raise ValueError("there are no `systems`, so there is nothing to show")
        for name in self.systems:
            _check_name(name)
        if self.use is None:  # else they are checked with the rows of the other suite
            self.check_names()
        return self

    def check_names(self) -> None:
        """See that every row that is named anywhere is there.

        Raises
        ------
        ValueError
            One is not, or a row goes back on itself.
        """
        for name in (*(name for pair in self.comparisons for name in pair), *self.against):
            self._check_shown(name)
        for first, second in self.comparisons:
            if first == second:
                raise ValueError(f"{first!r} is compared with itself")
        folders: dict[str, str] = {}
        for name, row in self.systems.items():
            if row.beside is not None:
                self._check_beside(name, row.beside)
            if row.ensemble is not None:
                self._check_has_runs(f"`ensemble` of {name!r}: ", row.ensemble)
            if row.init_from is not None:
                self._check_start(name, row.init_from.row)
            if row.recipe is not None:
                folder = folder_name(name, 0)
                if folder in folders:
                    raise ValueError(
                        f"the rows {folders[folder]!r} and {name!r} would have the same run "
                        f"folders ({folder}); rename one"
                    )
                folders[folder] = name

    def _check_shown(self, name: str) -> None:
        if name in self.systems or name in REFERENCES:
            return
        row, bar, _ = name.partition(BESIDE)
        if not bar or row not in self.systems or not self.systems[row].has_runs:
            raise ValueError(unknown_row(name, (*self.systems, *REFERENCES)))

    def _check_beside(self, name: str, beside: str) -> None:
        row, bar, column = beside.partition(BESIDE)
        if not bar or not column.strip():
            raise ValueError(f"`beside` of {name!r} is {beside!r}; write ROW{BESIDE}COLUMN")
        self._check_has_runs("", row)

    def _check_has_runs(self, where: str, row: str) -> None:
        known = [name for name, each in self.systems.items() if each.has_runs]
        if row not in known:
            raise ValueError(f"{where}{unknown_row(row, known)}")

    def _check_start(self, name: str, start: str) -> None:
        runs = [other for other, row in self.systems.items() if row.has_runs]
        path = [name]
        while True:
            if start not in runs:
                raise ValueError(f"`init_from` of {path[-1]!r}: {unknown_row(start, runs)}")
            if start in path:
                raise ValueError(f"`init_from` of {name!r} leads in a circle to {start!r}")
            path.append(start)
            following = self.systems[start].init_from
            if following is None:
                return
            start = following.row


def _check_name(name: str) -> None:
    if not name.strip() or BESIDE in name or any(map(is_steering, name)):
        raise ValueError(
            f"{name!r} is no name of a row: it is empty, holds {BESIDE!r}, or a character that "
            "shows nothing"
        )
    if len(folder_name(name, 0).encode()) > LONGEST_FOLDER:
        raise ValueError(f"{name[:40]!r}... is too long for the name of a folder; shorten it")
    if name in REFERENCES:
        raise ValueError(f"{name!r} is a trivial reference, which stands in every table anyway")


def unknown_row(name: str, known: Iterable[str]) -> str:
    """Say that there is no such row, and which there are."""
    known = list(known)
    hint = did_you_mean(name, known)
    return " ".join(filter(None, [f"there is no row {name!r}.", hint, f"Rows: {', '.join(known)}"]))


def folder_name(row: str, seed: int) -> str:
    """Return a folder name for one run."""
    plain = "".join(c if c.isalnum() else "-" for c in row.lower())
    return f"{plain}-{seed}"

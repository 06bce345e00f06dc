"""What a suite asks for: its runs, what they need first, and what of it is done."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from corarec.benchmark.results import result_files
from corarec.benchmark.same_run import adopted, is_fit
from corarec.benchmark.suite import BESIDE, Row, StartFrom, Suite, folder_name, unknown_row
from corarec.cf import FitConfig
from corarec.cf.identity import IDENTITY_FILE
from corarec.data import Dataset, KnowledgePolicy
from corarec.errors import ConfigError, CorarecError
from corarec.recipe import FittedCF, RunConfig, load_recipe
from corarec.recipe.training import PhaseConfig
from corarec.runs.layout import CF, CONFIG
from corarec.train.state import run_state
from corarec.types import Fingerprint

State = Literal["done", "to evaluate", "to go on", "to do"]


@dataclass(frozen=True)
class PlannedCF:
    """A CF model that all runs of one seed with the same dataset share."""

    folder: Path
    data: Path
    choice: FitConfig
    seed: int
    knowledge: KnowledgePolicy
    done: bool


@dataclass(frozen=True)
class PlannedRun:
    """One row and seed."""

    row: str
    seed: int
    folder: Path
    config: RunConfig
    """Everything spelled out, where CF model and other runs lie included."""
    state: State
    needs: tuple[Path, ...] = ()
    """Folders of CF models and runs that must be there first."""

    @property
    def label(self) -> str:
        """What it is called in messages."""
        return f"{self.row}, seed {self.seed}"


@dataclass
class Plan:
    """All work of a suite, in an order in which it can be done."""

    runs: list[PlannedRun] = field(default_factory=list)
    cf: list[PlannedCF] = field(default_factory=list)


class Planner:
    """Makes the plan of a suite.

    Parameters
    ----------
    runs
        The folder that holds a folder per suite.
    stem
        The name of this suite's own.
    """

    def __init__(self, suite: Suite, runs: Path, stem: str) -> None:
        self.suite = suite
        self.all_runs = runs
        self.home = runs / stem
        self._datasets: dict[Path, Dataset] = {}
        self._cf: dict[Path, PlannedCF] = {}
        self._runs: dict[tuple[str, int], PlannedRun] = {}

    def plan(self, only: Collection[str] | None = None) -> Plan:
        """Return what is to be run, and what of it is done.

        Rows whose runs others start from are among it, whatever `only` says.

        Raises
        ------
        ConfigError
            A recipe is wrong, `only` names no row of the suite's own, two rows are of different
            datasets, or a folder holds a run of another recipe; all of these are named at once.
        """
        own = [name for name, row in self.suite.systems.items() if row.recipe is not None]
        if unknown := [name for name in only or () if name not in own]:
            raise ConfigError(f"--only: {unknown_row(unknown[0], own)}.")
        mistakes: list[str] = []
        for seed in self.suite.seeds:
            for name in own:
                if only and name not in only:
                    continue
                try:
                    self._planned(name, seed)
                except CorarecError as error:
                    text = f"{name}: {error}" if name not in str(error) else str(error)
                    if text not in mistakes:
                        mistakes.append(text)
        if mistakes:
            raise ConfigError("\n".join(mistakes))
        self._check_one_dataset()
        return Plan(list(self._runs.values()), list(self._cf.values()))

    def folders(self, name: str) -> dict[int, Path]:
        """Return where the runs of a row are, by seed: here or in another suite's folder."""
        row = self.suite.systems[name]
        home, of = self.home, name
        if row.use is not None:
            home, of = self.all_runs / row.use.suite.stem, row.use.row
        return {seed: home / folder_name(of, seed) for seed in self.suite.seeds}

    def has_results(self) -> bool:
        """Return whether any run of the suite was evaluated."""
        return any(
            all(path.exists() for path in result_files(folder, self.suite.split))
            for name, row in self.suite.systems.items()
            if row.has_runs
            for folder in self.folders(name).values()
        )

    def _planned(self, name: str, seed: int) -> PlannedRun:
        if (name, seed) not in self._runs:
            self._runs[name, seed] = self._make(name, self.suite.systems[name], seed)
        return self._runs[name, seed]

    def _make(self, name: str, row: Row, seed: int) -> PlannedRun:
        assert row.recipe is not None
        config = load_recipe(row.recipe, [*self.suite.set, *row.set, f"seed={seed}"])
        config = config.model_copy(update={"data": config.data.resolve()})
        fingerprint = self._dataset(config.data).fingerprint
        start: Path | None = None
        if row.init_from is not None:
            start = self.folders(row.init_from.row)[seed]
            config = started_from(config, row.init_from, start)
        choice = config.cf
        fitted: PlannedCF | None = None
        if isinstance(choice, FitConfig):
            self._check_columns(name, choice)
            fitted = self._shared_cf(config.data, choice, seed, fingerprint, config.knowledge)
            config = config.model_copy(update={"cf": FittedCF(path=fitted.folder.resolve())})
        folder = self.home / folder_name(name, seed)
        if (folder / CONFIG).exists():
            config = adopted(config, choice, seed, folder, fingerprint)
        state = self._state(folder, config)
        needs: list[Path] = []
        if state in ("to do", "to go on"):
            if fitted is not None and not (folder / CF).exists():
                needs.append(self._cf.setdefault(fitted.folder, fitted).folder)
            if row.init_from is not None and self.suite.systems[row.init_from.row].recipe:
                needs.append(self._planned(row.init_from.row, seed).folder)
        return PlannedRun(name, seed, folder, config, state, tuple(needs))

    def _state(self, folder: Path, config: RunConfig) -> State:
        trained = run_state(folder, config)
        if trained == "finished":
            found = all(path.exists() for path in result_files(folder, self.suite.split))
            return "done" if found else "to evaluate"
        return "to go on" if trained == "begun" else "to do"

    def _shared_cf(
        self,
        data: Path,
        choice: FitConfig,
        seed: int,
        dataset: Fingerprint,
        knowledge: KnowledgePolicy,
    ) -> PlannedCF:
        """Return where a CF model is or will be: found by what it is, not by its folder's name."""
        home = self.home / "cf"
        there = sorted(home.glob(f"{choice.model}-*-{seed}")) if home.is_dir() else []
        for folder in there:
            if not (folder / IDENTITY_FILE).exists():
                continue
            if is_fit(folder, choice, seed, dataset, knowledge):
                return PlannedCF(folder, data, choice, seed, knowledge, True)
        content = f"{dataset.model_dump_json()} {choice.model_dump_json()}"
        if knowledge != KnowledgePolicy():
            content += f" {knowledge.model_dump_json()}"
        digest = hashlib.sha256(content.encode()).hexdigest()[:8]
        folder = home / f"{choice.model}-{digest}-{seed}"
        return PlannedCF(folder, data, choice, seed, knowledge, False)

    def _dataset(self, data: Path) -> Dataset:
        if data not in self._datasets:
            self._datasets[data] = Dataset.load(data)
        return self._datasets[data]

    def _check_one_dataset(self) -> None:
        first: PlannedRun | None = None
        for run in self._runs.values():
            first = first or run
            one, other = (self._dataset(each.config.data) for each in (first, run))
            if differing := one.fingerprint.differences(other.fingerprint):
                raise ConfigError(
                    f"{first.row!r} is of {first.config.data} and {run.row!r} of "
                    f"{run.config.data}, whose {', '.join(differing)} differ: rows of one table "
                    "are compared on the same rows of data. Make a suite of each."
                )

    def _check_columns(self, name: str, choice: FitConfig) -> None:
        """See that what the suite names beside a row will be there; hours later is too late."""
        named = [other for pair in self.suite.comparisons for other in pair]
        named += [*self.suite.against, *(row.beside or "" for row in self.suite.systems.values())]
        for text in named:
            row, bar, column = text.partition(BESIDE)
            if bar and row == name and column != f"{choice.model} alone":
                raise ConfigError(
                    f"{text!r} is not evaluated beside {name!r}; what is: "
                    f"'{name}{BESIDE}{choice.model} alone'."
                )


def started_from(config: RunConfig, given: StartFrom, start: Path) -> RunConfig:
    """Leave a phase out, and let the next one start from another run.

    Raises
    ------
    ConfigError
        There is no such phase with another one after it.
    """
    phases = config.train.phases
    names = [phase.name for phase in phases]
    left_out = given.instead_of or next(iter(names), None)
    if left_out is None or left_out not in names[:-1]:
        raise ConfigError(
            f"init_from: there is no phase {left_out!r} with another after it; the phases of the "
            f"recipe: {', '.join(names) or 'none'}. Name one in `instead_of`."
        )
    at = names.index(left_out) + 1
    values = {key: getattr(phases[at], key) for key in phases[at].model_fields_set}
    # Made anew, because only what was set counts as given.
    begins = PhaseConfig.model_validate(values | {"init_from": str(start.resolve())})
    train = config.train.model_copy(
        update={"phases": (*phases[: at - 1], begins, *phases[at + 1 :])}
    )
    return config.model_copy(update={"train": train})

"""The journal of a tuning: which trials were begun, with which values, and how they ended.

It is Optuna's journal file, so that its own tools read it. Several processes may work with one:
what reads and then writes does so under a lock that the system frees when its holder dies. A trial
is one line when it begins, and its values follow from the seed, its number and the trials before: a
killed tuning goes on as it would have.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
from filelock import FileLock

from corarec.errors import ArtifactError
from corarec.extras import needs
from corarec.tune.home import LOCK
from corarec.tune.settings import TuneConfig
from corarec.tune.space import Space
from corarec.tune.trials import Ended, State, Trial

with needs("tune"):
    import optuna
    from optuna.samplers import RandomSampler, TPESampler
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna.study import StudyDirection
    from optuna.trial import FrozenTrial, TrialState

JOURNAL = "study.journal"
STUDY = "corarec"
_STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}
_ENDS = {name: state for state, name in _STATES.items()}


class _Lock:
    """The lock of the folder, as Optuna takes it; one process may take it within itself."""

    def __init__(self, path: Path) -> None:
        self.lock = FileLock(path)

    def acquire(self) -> bool:
        self.lock.acquire()
        return True

    def release(self) -> None:
        self.lock.release()


class Journal:
    """The journal in a folder, which must exist.

    Raises
    ------
    ArtifactError
        It is damaged.
    """

    def __init__(
        self, folder: Path, space: Space, config: TuneConfig, *, higher_is_better: bool
    ) -> None:
        self.space = space
        self.config = config
        self.budget = config.trials
        if config.sampler == "grid":
            self.budget = min(config.trials, len(space.grid(config.seed)))
        self.higher_is_better = higher_is_better
        self._direction = StudyDirection.MAXIMIZE if higher_is_better else StudyDirection.MINIMIZE
        self.path = folder / JOURNAL
        self._lock = _Lock(folder / LOCK)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with self.locked():
            _cut_torn_line(self.path)
            try:
                storage = JournalStorage(
                    JournalFileBackend(str(self.path), cast("Any", self._lock))
                )
                self._study = optuna.create_study(
                    storage=storage,
                    study_name=STUDY,
                    direction=self._direction,
                    load_if_exists=True,
                    sampler=RandomSampler(),  # never asked: see `begin`
                    pruner=optuna.pruners.MedianPruner(),
                )
                self.trials()
            except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
                raise ArtifactError(
                    f"{self.path} is damaged ({error}). Put it back from a copy, or tune into "
                    "another folder."
                ) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from the journal for the block."""
        with self._lock.lock:
            yield

    def trials(self) -> list[Trial]:
        """Return the trials in their order."""
        return [self._read(frozen) for frozen in self._study.get_trials(deepcopy=False)]

    def begin(self) -> Trial | None:
        """Draw and write down the next trial; None where all of them were begun."""
        with self.locked():
            before = self._study.get_trials()
            number = len(before)
            if number >= self.budget:
                return None
            drawn = self._drawn(number, before)
            self._study.add_trial(
                optuna.trial.create_trial(
                    state=TrialState.RUNNING,
                    params=drawn,
                    distributions=self.space.distributions(),
                )
            )
            return self.trials()[number]

    def end(self, trial: Trial, ended: Ended) -> None:
        """Write down what came of a trial, unless that was done."""
        with self.locked():
            frozen = self._study.get_trials()[trial.number]
            if frozen.state.is_finished():
                return
            known = {"step": ended.step, "seconds": ended.seconds, "reason": ended.reason}
            of_study = self._of_study(trial)
            for key, value in known.items():
                if value is not None:
                    of_study.set_user_attr(key, value)
            self._study.tell(trial.number, ended.value, _ENDS[ended.state])

    def should_prune(self, trial: Trial, value: float, step: int) -> bool:
        """Write down a validation; return whether the trial is behind the others."""
        with self.locked():
            of_study = self._of_study(trial)
            if step not in self._study.get_trials()[trial.number].intermediate_values:
                of_study.report(value, step)
            return of_study.should_prune()

    def _of_study(self, trial: Trial) -> optuna.trial.Trial:
        return optuna.trial.Trial(self._study, self._study.get_trials()[trial.number]._trial_id)

    def _drawn(self, number: int, before: list[FrozenTrial]) -> dict[str, Any]:
        """Return what is drawn for a trial."""
        if self.config.sampler == "grid":
            return self.space.grid(self.config.seed)[number]
        seed = int(np.random.SeedSequence((self.config.seed, number)).generate_state(1)[0])
        drawing = optuna.create_study(
            direction=self._direction,
            sampler=RandomSampler(seed)
            if self.config.sampler == "random"
            else TPESampler(seed=seed, constant_liar=True),
        )
        drawing.add_trials(before)
        return drawing.ask(self.space.distributions()).params

    def _read(self, frozen: FrozenTrial) -> Trial:
        known: Mapping[str, Any] = frozen.user_attrs
        complete = frozen.state == TrialState.COMPLETE
        return Trial(
            number=frozen.number,
            state=_STATES[frozen.state],
            values=self.space.values(frozen.params),
            value=frozen.value if complete else None,
            step=known.get("step"),
            seconds=known.get("seconds"),
            reason=known.get("reason"),
        )


def _cut_torn_line(path: Path) -> None:
    """Take away a last line that its writer was killed in: the next would be appended to it."""
    if not path.exists():
        return
    with path.open("r+b") as stream:
        content = stream.read()
        if not content.endswith(b"\n"):
            stream.truncate(content.rfind(b"\n") + 1)

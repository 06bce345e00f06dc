"""Where the weights of a phase come from: the phase before, an earlier one, or another run."""

import shutil
from collections.abc import Callable
from pathlib import Path

from corarec.errors import ConfigError
from corarec.files import atomic_directory
from corarec.ownership import MARKER
from corarec.recipe.phases import PlannedPhase
from corarec.recommenders.base import Recommender
from corarec.runs.layout import BEST, START, phase_best, phase_folder
from corarec.runs.manifest import Seal, check_whole
from corarec.train.checkpoints import WEIGHTS


def other_runs(phases: list[PlannedPhase]) -> dict[int, Path]:
    """Return the folders of the other runs that phases start from, by the phase's number."""
    names = {phase.name for phase in phases}
    return {
        phase.number: Path(phase.init_from)
        for phase in phases
        if phase.init_from is not None and phase.init_from not in names
    }


def check_sources(phases: list[PlannedPhase], run: Path | None) -> None:
    """See that the other runs that phases start from are there, or were copied into the run.

    Raises
    ------
    ConfigError
        One is not.
    """
    earlier: list[str] = []
    others = other_runs(phases)
    for phase in phases:
        source = others.get(phase.number)
        copied = run is not None and (phase_folder(run, phase) / START).exists()
        if source and not copied and not (source / BEST).is_dir():
            raise ConfigError(
                f"{phase.key('init_from')} is {phase.init_from!r}: no earlier phase "
                f"({', '.join(earlier) or 'there is none'}), and no folder of a run whose training "
                f"reached a first validation (it would have {BEST}/). Name one of them."
            )
        earlier.append(phase.name)


def adopt_sources(
    recommender: Recommender,
    phases: list[PlannedPhase],
    run: Path,
    seal: Seal,
    say: Callable[[str], None],
) -> None:
    """Copy the weights of the other runs that phases start from, and see that they fit.

    So the run goes on after that other one was changed, moved or removed.

    Raises
    ------
    ArtifactError
        They are damaged, of another language model or other shapes, or have no group in common.
    """
    for number, source in other_runs(phases).items():
        phase = next(phase for phase in phases if phase.number == number)
        copy = phase_folder(run, phase) / START
        if not copy.exists():
            manifest = check_whole(source / BEST)
            groups = recommender.weights_of(source / BEST)
            with atomic_directory(copy, WEIGHTS, keep_foreign=True) as folder:
                for name in manifest.files:
                    if name != MARKER:
                        (folder / name).parent.mkdir(parents=True, exist_ok=True)
                        shutil.copyfile(source / BEST / name, folder / name)
                seal.write(folder)
            text = f"The phase {phase.name} starts from {', '.join(groups)} of {source}."
            if manifest.dataset != seal.dataset:
                text += (
                    " That run is of another dataset: whether it saw rows that are to be "
                    "predicted here cannot be told."
                )
            say(text)
        seal.check(copy)
        recommender.weights_of(copy)


def load_start(
    recommender: Recommender, phase: PlannedPhase, phases: list[PlannedPhase], run: Path, seal: Seal
) -> None:
    """Give a system the weights that a phase starts from.

    They are those of the phase that it names, else of the one before, and over them those of the
    other run that it names; where there is neither, the start values.
    """
    named = [other for other in phases if other.name == phase.init_from]
    before = named or [other for other in phases if other.number == phase.number - 1]
    if before and phase.number > 1:
        best = phase_best(run, before[0])
        seal.check(best)
        recommender.load(best)
    if phase.number in other_runs(phases):
        recommender.take(recommender.weights_of(phase_folder(run, phase) / START))

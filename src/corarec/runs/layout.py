"""What lies where in a run folder."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from corarec.locks import LOCK, OWNER_SUFFIX

if TYPE_CHECKING:
    from corarec.recipe.phases import PlannedPhase

CONFIG = "config.yaml"
"""The recipe with every default spelled out."""
DATA = "data.json"
"""Which dataset the run is of, and where it lay."""
CF = "cf"
"""The CF model."""
BEST = "best"
"""The weights with the best validation metric."""
KNOWLEDGE = "knowledge"
"""In a packed run: what it needs of its dataset."""
BACKBONE = "backbone"
"""In a packed run: its language model, where that was packed, too."""
PACK = "pack.json"
"""In a packed run: the digest of every file."""
PHASES = "phases"
"""A folder per phase of the training, where it has phases."""
START = "start"
"""In the folder of a phase: the weights of another run that it starts from."""
CHANGES = "changes.jsonl"
"""What was changed when the run was prolonged."""
MANIFEST = "manifest.json"
"""In a folder of weights: what they belong to, and the digest of every file."""

RANKING = "ranking.json"
"""How the run is joined with its CF model and popularity to recommend, where that was learned."""

_TEMPORARY = re.compile(r"\.(corarec-[0-9a-f]{8}|.+\.(json|yaml))[.-][0-9a-f]{8}\.tmp")


def phase_folder(run: Path, phase: "PlannedPhase") -> Path:
    """Return where the checkpoints of a phase lie."""
    return run / PHASES / f"{phase.number}-{phase.name}" if phase.number else run


def phase_best(run: Path, phase: "PlannedPhase") -> Path:
    """Return where the best weights of a phase lie: those of the last are the run's."""
    return run / BEST if phase.last else phase_folder(run, phase) / BEST


def foreign_files(folder: Path) -> list[str]:
    """Return what lies in a folder without a config that no beginning run has left there."""
    ours = {DATA, LOCK, LOCK + OWNER_SUFFIX}
    return sorted(
        path.name
        for path in folder.iterdir()
        if path.name not in ours and not _TEMPORARY.fullmatch(path.name)
    )

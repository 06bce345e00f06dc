"""What lies where in a run folder."""

import re
from pathlib import Path

from corarec.locks import LOCK, OWNER_SUFFIX

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
CHANGES = "changes.jsonl"
"""What was changed when the run was prolonged."""
MANIFEST = "manifest.json"
"""In a folder of weights: what they belong to, and the digest of every file."""

_TEMPORARY = re.compile(r"\.(corarec-[0-9a-f]{8}|.+\.(json|yaml))[.-][0-9a-f]{8}\.tmp")


def foreign_files(folder: Path) -> list[str]:
    """Return what lies in a folder without a config that no beginning run has left there."""
    ours = {DATA, LOCK, LOCK + OWNER_SUFFIX}
    return sorted(
        path.name
        for path in folder.iterdir()
        if path.name not in ours and not _TEMPORARY.fullmatch(path.name)
    )

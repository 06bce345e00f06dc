"""Run folders: what lies in them, who may write there, to what they are bound, how they are used.

Nothing in here imports the trainer, so that a service can open runs without it.
"""

from corarec.runs.claim import check_folder, claimed
from corarec.runs.manifest import Seal
from corarec.runs.run import Run, load_run

__all__ = ["Run", "Seal", "check_folder", "claimed", "load_run"]

"""Run folders: what lies in them, who may write there, to what they are bound, how they open.

Nothing in here imports the trainer, so that a service can open runs without it.
"""

from corarec.runs.claim import check_folder, claimed
from corarec.runs.manifest import Seal
from corarec.runs.open import open_run

__all__ = ["Seal", "check_folder", "claimed", "open_run"]

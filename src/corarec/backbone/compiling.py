"""Whether torch.compile can work here."""

import logging
import os
import shutil
import sys

import torch

log = logging.getLogger(__name__)


def compiler_at_hand() -> bool:
    """Return whether torch.compile finds a compiler; where not, say so in one line."""
    if torch.cuda.is_available():
        return True  # a GPU's compiler comes with torch
    name = os.environ.get("CXX") or {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    if shutil.which(name) is not None:
        return True
    log.warning(
        "warning: not compiled, so slower: there is no C++ compiler %s. Install one (on Debian: "
        "apt install g++), name one in CXX, or set `compile: false`.",
        name,
    )
    return False

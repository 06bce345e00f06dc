"""Whether torch.compile can work here, and where it shall not."""

import logging
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

log = logging.getLogger(__name__)
_LOCK = threading.Lock()
_uncompiled = 0


@contextmanager
def uncompiled() -> Iterator[None]:
    """Run compiled blocks as they were before, and compile nothing, within the block.

    For a few passes, which end sooner than a compiler. It holds for all threads of the process.
    """
    global _uncompiled
    with _LOCK:
        _uncompiled += 1
        if _uncompiled == 1:
            torch.compiler.set_stance("force_eager")
    try:
        yield
    finally:
        with _LOCK:
            _uncompiled -= 1
            if _uncompiled == 0:
                torch.compiler.set_stance("default")


def forget_compiled() -> None:
    """Forget what was compiled for the models that this process had before.

    Torch compiles one piece of code for a few models only and runs it as it is for those that come
    later: slower, and with other last bits than in a process of their own.
    """
    if "torch._dynamo" in sys.modules:
        torch.compiler.reset()


def is_compiled(module: torch.nn.Module) -> bool:
    """Return whether a module has a compiled form."""
    form = module._compiled_call_impl
    # What `last_position` puts there is none, but may hold one.
    return getattr(form, "compiled", form) is not None


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

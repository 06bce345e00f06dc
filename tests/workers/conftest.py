"""A work that other processes find, and what can happen to it."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

TOY = '''
import logging, os, signal, time
from pathlib import Path

import numpy as np

from corarec.errors import TrainingError
from corarec.workers.pieces import Work


class ToyWork(Work):
    """Numbers; files in `folder` say what happens at a piece."""

    folder: Path
    pieces: int = 6
    first_reads: int = 0

    @property
    def count(self):
        return self.pieces

    def size(self, number):
        return 10

    def group(self, number):
        return number // 3

    def open(self):
        logging.getLogger("corarec.toy").warning("opened")
        with (self.folder / "opened").open("a") as stream:
            stream.write(f"{os.getpid()}\\n")
        if (self.folder / "no-start").exists():
            os._exit(7)
        return OpenToy(self.folder)


class OpenToy:
    def __init__(self, folder):
        self.folder = folder

    def piece(self, number, progress):
        progress(4)
        with (self.folder / "done").open("a") as stream:
            stream.write(f"{number}\\n")
        once, always = self.folder / f"die-once-{number}", self.folder / f"die-{number}"
        if once.exists() or always.exists():
            once.unlink(missing_ok=True)
            os.kill(os.getpid(), signal.SIGKILL)
        if (self.folder / f"fail-{number}").exists():
            raise TrainingError(f"piece {number} is no good")
        if (self.folder / f"slow-{number}").exists():
            time.sleep(120)
        return np.array([[number, number**2], [0.1, number / 3]])
'''


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Make a toy work on a folder that is there."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "toy_work.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path / "lib")
    (tmp_path / "signs").mkdir()
    module = importlib.import_module("toy_work")
    yield lambda **options: module.ToyWork(folder=tmp_path / "signs", **options)
    sys.modules.pop("toy_work")

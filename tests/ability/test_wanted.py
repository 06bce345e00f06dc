from pathlib import Path

import pytest

from corarec.ability.files import read_tasks, read_texts
from corarec.ability.repetition import TASK
from corarec.ability.wanted import Wanted
from corarec.errors import ConfigError


def test_nothing_to_measure_is_an_error() -> None:
    with pytest.raises(ConfigError, match="nothing to measure"):
        Wanted((), (), 0, ())


def test_what_is_measured_is_told_apart_by_its_name(questions: Path, tmp_path: Path) -> None:
    """Questions, texts and descriptions alike: results are kept under these names."""
    (tmp_path / "choice.txt").write_text("Hello?")
    (tmp_path / f"{TASK}.txt").write_text("Hello?")
    of_folder = read_tasks([questions], None, 0)
    of_file = read_tasks([tmp_path / "choice.txt"], None, 0)
    held_out = read_texts([str(tmp_path / "choice.txt")], None, 0)
    described = read_texts([str(tmp_path / f"{TASK}.txt")], None, 0)
    for tasks, texts, repeats in (
        ([*of_folder, *of_file], [], 0),
        (of_file, held_out, 0),
        (of_folder, described, 1),
    ):
        with pytest.raises(ConfigError, match="have one name"):
            Wanted(tasks, texts, repeats, ())
    assert Wanted(of_folder, described, 0, ()).steps() > 0

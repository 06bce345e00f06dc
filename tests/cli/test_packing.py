import shutil
from pathlib import Path
from typing import Any

import pytest

from .conftest import corarec


@pytest.fixture
def run(trained_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained_run, tmp_path / "run"))


def test_a_packed_run_recommends_and_says_what_it_holds_of_people(
    run: Path, tiny_backbone: Path, small_world_path: Path, capsys: Any
) -> None:
    said: list[str] = []
    nobody: list[str | Path] = ["--without-users", "--output", run.with_name("nobody.zip")]
    for extra in ([], nobody):
        capsys.readouterr()
        assert corarec("pack", run, "--data", small_world_path, *extra) == 0
        said.append(" ".join(capsys.readouterr().out.split()))
    assert "50 titles and, of 60 people, their ids" in said[0]
    assert "--without-users leaves ids and histories out" in said[0]
    assert all("What its models learned from people is in it, too" in words for words in said)
    assert f"the other machine needs {tiny_backbone}".replace(" ", "") in said[0].replace(" ", "")
    assert "Known users were left out" in said[1]
    assert corarec("recommend", run.with_name("run.zip"), "--user", "7", "-k", "2") == 0
    assert corarec("recommend", run.with_name("nobody.zip"), "--user", "7", "-k", "2") == 1
    assert "packed without its users" in " ".join(capsys.readouterr().err.split())


def test_measuring_a_packed_run_says_how_to_name_the_dataset(
    run: Path, small_world_path: Path, capsys: Any
) -> None:
    folder = run.with_name("packed")
    assert corarec("pack", run, "--data", small_world_path, "--output", folder) == 0
    assert corarec("evaluate", folder, "--split", "valid") == 1
    error = " ".join(capsys.readouterr().err.split())
    assert "is a packed run" in error
    assert "--data FOLDER" in error
    assert corarec("evaluate", folder, "--split", "valid", "--data", small_world_path) == 0
    assert corarec("pack", run, "--data", small_world_path, "--with-backbone") == 0

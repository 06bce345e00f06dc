import subprocess
from pathlib import Path

import pytest

from corarec import provenance as module
from corarec.provenance import code_digest, commit, made_by, provenance, recipe_hash
from corarec.types import Config


class Recipe(Config):
    steps: int = 3


def git(folder: Path, *arguments: str) -> str:
    name = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    command = ["git", "-C", str(folder), *name, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository that holds the code, with one commit."""
    git(tmp_path, "init", "-q")
    file = tmp_path / "src" / "provenance.py"
    file.parent.mkdir()
    file.write_text("1\n")
    git(tmp_path, "add", "src")
    git(tmp_path, "commit", "-qm", "first")
    monkeypatch.setattr(module, "__file__", str(file))
    return tmp_path


def test_the_digest_of_the_code_follows_every_file(project: Path) -> None:
    found = [code_digest.__wrapped__()]
    for name, text in (("provenance.py", "2\n"), ("new.py", ""), ("room/new.py", "")):
        (project / "src" / name).parent.mkdir(exist_ok=True)
        (project / "src" / name).write_text(text)
        found.append(code_digest.__wrapped__())
    (project / "src" / "new.txt").write_text("")
    assert len(set(found)) == 4
    assert code_digest.__wrapped__() == found[-1]


def test_the_commit_of_the_code_and_whether_files_differ(project: Path) -> None:
    head = git(project, "rev-parse", "HEAD")
    assert commit() == head
    (project / "results.json").write_text("{}")
    assert commit() == head
    (project / "src" / "provenance.py").write_text("2\n")
    assert commit() == f"{head}+changes"


def test_a_repository_around_an_installed_package_is_not_asked(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = project / "venv" / "provenance.py"
    installed.parent.mkdir()
    installed.write_text("1\n")
    monkeypatch.setattr(module, "__file__", str(installed))
    assert commit() is None


def test_without_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert commit() is None


def test_a_result_says_what_made_it(project: Path) -> None:
    made = provenance({"one": Recipe(), "other": Recipe(steps=4)})
    assert made["commit"] == git(project, "rev-parse", "HEAD")
    assert made["recipes"]["one"] == recipe_hash(Recipe()) != made["recipes"]["other"]
    assert {"corarec", "torch", "python"} <= set(made["versions"])
    sentence = made_by({"provenance": made})
    assert made["commit"] in sentence
    assert f"torch {made['versions']['torch']}" in sentence


@pytest.mark.parametrize("result", [{}, {"provenance": None}, {"provenance": {"commit": None}}])
def test_what_does_not_say_is_said_not_to(result: dict[str, object]) -> None:
    assert made_by(result) == "Commit not recorded."

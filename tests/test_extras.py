import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from corarec.errors import ConfigError
from corarec.extras import needs

# Torch and Transformers bring some of these, and look for them; what counts is who of us does.
BLOCKED = """
import builtins, sys
plain = builtins.__import__
def block(name, globals=None, *rest, **others):
    ours = (globals or {{}}).get("__name__", "").startswith("corarec")
    if ours and name.partition(".")[0] in {blocked!r}:
        raise ModuleNotFoundError(f"No module named {{name!r}}", name=name.partition(".")[0])
    return plain(name, globals, *rest, **others)
builtins.__import__ = block
"""
ALL = ("typer", "rich", "click", "jinja2", "markupsafe")
LIBRARY = """
import importlib, json, pkgutil
from pathlib import Path
import torch
import corarec
ROOMS = ("data", "cf", "backbone", "prompts", "adapter", "score", "recommenders", "recipe", "runs",
         "train", "evaluate")
for room in ROOMS:
    package = importlib.import_module(f"corarec.{room}")
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
from corarec.train import train_run
from corarec.recipe import RunConfig
train_run(RunConfig.parse(json.loads(sys.argv[1]), "the test"), Path(sys.argv[2]))
"""


def run(blocked: tuple[str, ...], code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = BLOCKED.format(blocked=blocked) + code
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_library_needs_no_package_of_the_command_line(
    recipe: dict[str, Any], tmp_path: Path
) -> None:
    small = recipe | {
        "train": recipe["train"] | {"steps": 2, "validate_every": 2},
        "cf": {"model": "rates"},
    }
    folder = tmp_path / "run"
    ran = run(ALL, LIBRARY, json.dumps(small), str(folder))
    assert ran.returncode == 0, ran.stderr
    assert (folder / "best").is_dir()


@pytest.mark.parametrize(
    ("blocked", "module", "extra"),
    [
        (("rich",), "corarec.progress", "cli"),
        pytest.param(("rich",), "corarec.report.terminal", "cli", marks=pytest.mark.slow),
        (("jinja2",), "corarec.report.page", "report"),
        pytest.param(("markupsafe",), "corarec.report.svg", "report", marks=pytest.mark.slow),
        (("matplotlib",), "corarec.report.chart", "report"),
        pytest.param(("jinja2",), "corarec.pretrain", "pretrain", marks=pytest.mark.slow),
        pytest.param(("optuna",), "corarec.tune", "tune", marks=pytest.mark.slow),
        pytest.param(("fastapi",), "corarec.serve.app", "serve", marks=pytest.mark.slow),
        (("sqlalchemy",), "corarec.serve.store", "serve"),
        pytest.param(("uvicorn",), "corarec.serve.server", "serve", marks=pytest.mark.slow),
    ],
)
def test_a_room_without_its_packages_says_what_to_type(
    blocked: tuple[str, ...], module: str, extra: str
) -> None:
    ran = run(blocked, f"import {module}")
    last = ran.stderr.strip().splitlines()[-1]
    assert last == (
        f"corarec.errors.ConfigError: The package {blocked[0]} is needed here and not installed. "
        f"Type: pip install 'corarec[{extra}]'"
    )


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_the_command_without_typer_says_what_to_type(package: str) -> None:
    ran = run((package,), "from corarec.__main__ import main\nmain()")
    assert ran.returncode == 1
    assert ran.stderr == (
        f"error: The command line needs the package {package}, which is not installed. "
        "Type: pip install 'corarec[cli]'\n"
    )


@pytest.mark.slow
def test_the_command_without_jinja_fails_before_any_work(tmp_path: Path) -> None:
    code = f"sys.argv = ['corarec', 'quickstart', '--output', {str(tmp_path / 'q')!r}]\n"
    ran = run(("jinja2",), code + "from corarec.__main__ import main\nmain()")
    assert ran.returncode == 1
    assert "pip install 'corarec[report]'" in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_another_kind_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError), needs("cli"):
        _ = 1 / 0
    with pytest.raises(ConfigError, match=r"not_there .*corarec\[cli\]"), needs("cli"):
        import not_there  # type: ignore[import-not-found]  # noqa: F401

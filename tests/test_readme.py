"""Every command and every block of Python in the README runs, on tiny data."""

import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import yaml

from corarec import cli, quickstart
from corarec.recipe import RunConfig
from corarec.recipe_files import read_recipe
from corarec.starter import quickstart_config

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")

NOT_RUN = {
    r"pip install ": "it needs the network; that its extra exists is tested below",
    r"make quickstart": "it sets up a virtual environment first; what it then runs is run here",
    r"make test": "it would run these very tests",
    r"corarec pretrain-backbone": "its texts do not ship; tests/pretrain runs it on others",
    r"corarec benchmark": "it trains for hours; tests/cli runs a small suite and plans this one",
    r"corarec serve ": "it serves until it is stopped; tests/serve runs it",
    r"corarec events export": "nobody told the run anything; tests/serve runs it",
    r"corarec refresh": "nobody told the run anything; tests/runs/test_refresh.py runs it",
    r"corarec COMMAND --help": "a pattern; tests/cli prints the help of every command",
    r"corarec --install-completion": "it changes the shell's own files",
}
"""Commands that are not run here, and why."""
STAND_INS = {
    "path/to/ml-1m": "ml-1m",
    "lmsys/vicuna-7b-v1.5": "tiny-backbone",
    "--trials 20": "--trials 1",
    # Of the quickstart's world, whose films are others when it is made small.
    "The Royal Alien (1999)": "The Royal Alien (1959)",
}
"""What is written in the README, and what lies in the folder of this test."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[str]:
    """Return the commands of the README in their order: lines of its blocks, code in its text."""
    prose = re.sub(r"```python\n.*?```", "", README, flags=re.DOTALL)
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    quoted = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", prose, flags=re.DOTALL))
    typed = [line.partition("#")[0].strip().removeprefix(".venv/bin/") for line in lines + quoted]
    typed = [each for each in typed if re.match(r"(corarec|make|pip install) ", each)]
    # A verb alone, in the text, is the name of a command.
    return [each for each in typed if not re.fullmatch(r"corarec [a-z][a-z-]*", each)]


def written(command: str) -> list[str]:
    """Return what the README's table says that a command writes."""
    for line in README.splitlines():
        if line.startswith("|") and f"| `{command}` |" in line:
            return re.findall(r"`([^`]+)`", line.split("|")[-2])
    return []


def make_ml1m(folder: Path) -> None:
    """Write 40 users, the README's among them, in the layout and the months of MovieLens-1M."""
    folder.mkdir()
    random = np.random.default_rng(0)
    users, items = [*range(1, 40), 3002], [*range(1, 30), 1193]
    months = [(2001, 7)] * 10 + [(2002, 4)] * 4 + [(2002, 9)] * 4
    ratings: list[tuple[int, ...]] = []
    for user in users:
        for (year, month), item in zip(months, random.permutation(items), strict=False):
            when = int(datetime(year, month, 1, tzinfo=UTC).timestamp()) + len(ratings)
            ratings.append((user, item, int(random.choice([2, 5])), when))
    (folder / "ratings.dat").write_text("".join("::".join(map(str, r)) + "\n" for r in ratings))
    films = [f"{item}::Film {item} (1999)::Drama\n" for item in items]
    (folder / "movies.dat").write_text("".join(films), "latin-1")
    people = [f"{user}::F::25::1::12345\n" for user in users]
    (folder / "users.dat").write_text("".join(people), "latin-1")


def corarec(command: str) -> int:
    before, sys.argv = sys.argv, shlex.split(command)
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv = before
    return 0


def run_python(block: str) -> None:
    """Run a block with the tensors that it takes for granted."""
    given = {
        "input_ids": torch.ones(2, 5, dtype=torch.long),
        "attention_mask": torch.ones(2, 5, dtype=torch.long),
        "vectors": torch.ones(2, 512),
    }
    exec(compile(block, "README.md", "exec"), given)
    assert "run" in given or torch.as_tensor(given["logits"]).shape[:2] == (2, 1)


def test_everything_in_the_readme_runs(
    tmp_path: Path,
    tiny_backbone: Path,
    tiny_recipe: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny-backbone").symlink_to(tiny_backbone)
    make_ml1m(tmp_path / "ml-1m")
    pl.DataFrame({"user": ["3002", "1"], "item": ["1193", "2"]}).write_csv("in.csv")
    Path("questions").mkdir()
    Path("questions/quiz.jsonl").write_text('{"question": "Who?", "answers": ["I"]}\n')
    for name in re.findall(r"recipes/ml-1m/\S+\.yaml", "\n".join(commands())):
        recipe = tiny_recipe(read_recipe(ROOT / name, "recipe").values, "data/ml-1m")
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(yaml.safe_dump(recipe), "utf-8")

    shutil.copytree(ROOT / "recipes/spaces", "recipes/spaces")

    def small(data: Path) -> RunConfig:
        shipped = quickstart_config(data).model_dump(mode="json")
        return RunConfig.parse(tiny_recipe(shipped, str(data)), "the test")

    monkeypatch.setattr(quickstart, "quickstart_config", small)
    monkeypatch.setattr(quickstart, "_WORLD", {"num_users": 60, "interactions_per_user": 20})
    assert corarec("corarec quickstart") == 0

    for command in commands():
        if any(re.match(pattern, command) for pattern in NOT_RUN):
            continue
        if command.startswith("corarec compare"):
            for run in re.findall(r"--(?:first|second) (\S+)", command):
                recipe_name = "recipes/ml-1m/cora-mf-b.yaml"
                seed = len(list(Path("runs").iterdir()))
                train = f"corarec train {recipe_name} --output {run} --set seed={seed}"
                assert corarec(train) == 0
                assert corarec(f"corarec evaluate {run} --split test") == 0
        typed = command
        for readme, here in STAND_INS.items():
            typed = typed.replace(readme, here)
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        capsys.readouterr()
        assert corarec(typed) == 0, f"{typed}: {capsys.readouterr().err}"
        after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        new = {path for path, when in after.items() if before.get(path) != when}
        for name in written(command):
            assert any(path in new for path in tmp_path.rglob(name.rstrip("/"))), (typed, name)

    for block in blocks("python"):
        for readme, here in STAND_INS.items():
            block = block.replace(readme, here)
        run_python(block)
    assert "The" in capsys.readouterr().out


def test_what_is_not_run_is_in_the_readme() -> None:
    for pattern in NOT_RUN:
        assert any(re.match(pattern, command) for command in commands()), pattern


def test_every_extra_that_the_readme_names_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = set(re.findall(r"pip install '\.\[(\w+)\]'", README))
    assert named
    assert named <= set(project["optional-dependencies"])
    targets = re.findall(r"^(\S+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert set(re.findall(r"^make (\S+)", "\n".join(commands()), re.MULTILINE)) <= set(targets)

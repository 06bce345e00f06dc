"""A stranger's package: a CF model, a source, a split rule and a system, found by entry point."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import corarec

CODE = '''
from pathlib import Path
from typing import Literal, Self
import torch
from pydantic import Field
from corarec.cf import FitCourse, TableModel
from corarec.data.sources.synthetic import Synthetic
from corarec.data.splits.temporal import Temporal
from corarec.recommenders.icl import ICLRecommender
from corarec.recommenders.lora import with_lora
from corarec.recommenders.tallrec import TALLRecRecommender, TALLRecSystem
from corarec.types import Config


class ParityConfig(Config):
    """Whether a number is even."""

    size: float = Field(default=1.0, gt=0)
    """How long a vector is."""


class Parity(TableModel):
    """One number: is the id even?"""

    name = "parity"
    config_class = ParityConfig

    def _fit(self, data, seed, checkpoint, on_epoch):
        tables = []
        for ids, most in ((data.train.user_ids, data.num_users), (data.train.item_ids,
                                                                  data.num_items)):
            table = torch.zeros(most + 1, 1)
            known = torch.from_numpy(ids).unique()
            table[known] = self.config.size * (1 - 2 * (known % 2))[:, None].float()
            tables.append(table)
        self.set_tables(*tables)
        return FitCourse()


class Village(Synthetic):
    """A smaller world."""

    num_users: int = Field(default=60, ge=2)
    """people"""
    num_items: int = Field(default=50, ge=2)
    """things"""
    interactions_per_user: int = Field(default=20, ge=2)
    """each"""


class Clock(Temporal):
    """By time, under another name."""


class MineSystem(TALLRecSystem):
    """TALLRec under another name."""

    name: Literal["mine"] = "mine"


class Mine(TALLRecRecommender):
    """TALLRec under another name."""

    config_class = MineSystem
'''
POINTS = """
[corarec.cf_models]
parity = strangers:Parity
broken = strangers:NotThere
[corarec.data_sources]
village = strangers:Village
[corarec.split_rules]
clock = strangers:Clock
[corarec.systems]
mine = strangers:Mine
"""
CONTRACTS = """
from corarec.testing import CFConformance, SourceConformance, SystemConformance


class TestParity(CFConformance):
    model = "parity"


class TestMine(SystemConformance):
    system, prompt = "mine", {"template": "{history}: {title}? Answer:", "history_length": 2}


class TestVillage(SourceConformance):
    source, split = "village", "published"
"""
COMMANDS = """
corarec prepare village --split clock --output data
corarec train recipe.yaml --output run
corarec recommend run --user 1 -k 3
corarec options
pytest -q -p no:cacheprovider test_strangers.py
"""
SCRIPT = """
import contextlib, io, json, sys
import pytest
from corarec import cli

said = {}
for line in sys.stdin.read().strip().splitlines():
    program, *sys.argv[1:] = line.split()
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
        try:
            status = pytest.main(sys.argv[1:]) if program == "pytest" else cli.main()
        except SystemExit as end:
            status = end.code
    said[line] = out.getvalue()
    if status:
        sys.exit(line + " says: " + said[line])
print(json.dumps(said))
"""
"""One process for all commands, since importing takes longer than they do."""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the package into a folder, as pip lays it out."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "strangers.py").write_text(CODE, "utf-8")
    facts = folder / "strangers-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: strangers\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(POINTS)
    return folder


@pytest.fixture(scope="module")
def folder(
    tiny_backbone: Path, recipe: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a folder with a recipe that names what the package brings, and the contracts of it."""
    folder = tmp_path_factory.mktemp("work")
    mine = {
        "data": "data",
        "cf": {"model": "parity", "options": {"size": 2}},
        "system": {"name": "mine", "rank": 2, "backbone": {"model": str(tiny_backbone)}},
        "train": recipe["train"] | {"steps": 2, "validate_every": 2},
    }
    (folder / "recipe.yaml").write_text(json.dumps(mine), "utf-8")
    (folder / "test_strangers.py").write_text(CONTRACTS, "utf-8")
    return folder


@pytest.fixture(scope="module")
def said(package: Path, folder: Path) -> dict[str, str]:
    """Run the commands where the package is installed, and return what each said."""
    source = Path(corarec.__file__).parents[1]
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=COMMANDS,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(package), str(source)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    texts: dict[str, str] = json.loads(ran.stdout.splitlines()[-1])
    return {" ".join(line.split()[:2]): text + ran.stderr for line, text in texts.items()}


def test_a_recipe_names_what_a_package_brings(said: dict[str, str], folder: Path) -> None:
    assert len(said["corarec recommend"].strip().splitlines()) >= 3
    identity = json.loads((folder / "run" / "cf" / "model.json").read_text("utf-8"))
    assert (identity["model"], identity["config"]) == ("parity", {"size": 2.0})
    assert "name: mine" in (folder / "run" / "config.yaml").read_text("utf-8")


def test_what_a_package_brings_is_listed_and_what_is_broken_is_named(said: dict[str, str]) -> None:
    listed = said["corarec options"]
    for name in ("parity (", "village (", "clock (", "mine (", "mf-b ("):
        assert f"\n{name}" in listed
    assert listed.count("warning:") == 1
    assert "'broken' of the package strangers cannot be used" in listed.replace("\n", " ")


def test_the_contracts_run_on_what_a_package_brings(said: dict[str, str]) -> None:
    counted = said["pytest -q"].strip().splitlines()
    assert any(" passed" in line for line in counted)
    assert not any("skipped" in line or "failed" in line for line in counted)

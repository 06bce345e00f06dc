"""The numbers that must not move: training curves and scores of small runs, bit for bit.

`CORAREC_WRITE_GOLDEN=1 pytest tests/test_bit_identity.py` writes `tests/bit_identity.json` anew; do
that only for a change that is meant to move the numbers, and say so in its message.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import yaml

from corarec import cli

GOLDEN = Path(__file__).with_name("bit_identity.json")
TRAIN = {"steps": 12, "batch_size": 8, "warmup_steps": 3, "validate_every": 4, "threads": 1}
SYSTEMS: dict[str, dict[str, Any]] = {
    "cora": {
        "cf": {"model": "mf-b", "options": {"embedding_size": 4, "max_epochs": 5}},
        "system": {"name": "cora", "rank": 2},
        "train": {"accumulate": 2, "validation_rows": 60},
    },
    "cora-late": {
        "cf": {"model": "sasrec", "options": {"embedding_size": 4, "max_epochs": 2}},
        "system": {
            "name": "cora",
            "rank": 2,
            "activation": "title",
            "answer": "yes-minus-no",
            "targets": ["q", "v", "down"],
            "vectors": {"drop_half": 0.5, "product": True},
        },
        "train": {"validation_fraction": 0.5, "gradient_checkpointing": True},
    },
    "tallrec": {"system": {"name": "tallrec"}, "train": {"validation_rows": 60}},
    "icl": {"system": {"name": "icl", "prompt": {"history_length": 3}}},
}
WORLD = ["num_users=60", "num_items=50", "interactions_per_user=20"]


def command(*words: str | Path) -> None:
    code: Any = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["corarec", *map(str, words)])
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
    assert not code, f"{words} ended with {code}"


def measure(name: str, backbone: Path, folder: Path) -> dict[str, Any]:
    """Train and score one system; return its curve and scores, floats with all their digits."""
    recipe = {"data": str(folder / "world"), **SYSTEMS[name]}
    recipe["system"] = {**recipe["system"], "backbone": {"model": str(backbone)}}
    recipe["train"] = TRAIN | recipe.get("train", {})
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(recipe), "utf-8")
    command("train", folder / f"{name}.yaml", "--output", folder / name)
    command("evaluate", folder / name, "--split", "valid", "--draws", "20")
    metrics = folder / name / "metrics.jsonl"
    records = [json.loads(line) for line in metrics.open()] if metrics.exists() else []
    scores = pl.read_parquet(folder / name / "results" / "valid.parquet")
    columns = [column for column in scores.columns if column == name or column.endswith("alone")]
    columns = columns or [scores.columns[4]]
    return {
        "curve": [{k: v for k, v in record.items() if k != "seconds"} for record in records],
        "first_scores": scores[scores.columns[4]][:10].to_list(),
        "scores": [hashlib.sha256(scores[c].to_numpy().tobytes()).hexdigest() for c in columns],
    }


def machine() -> str:
    """Return what the last bits may depend on."""
    return f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("bits")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    options = [word for option in WORLD for word in ("--option", option)]
    output = ["--output", str(folder / "world"), "--split", "published"]
    command("prepare", "synthetic", *output, *options)
    yield folder
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", SYSTEMS)
def test_curve_and_scores_are_those_of_before(name: str, tiny_backbone: Path, folder: Path) -> None:
    measured = measure(name, tiny_backbone, folder)
    golden = json.loads(GOLDEN.read_text("utf-8"))
    if os.environ.get("CORAREC_WRITE_GOLDEN"):
        golden = {"machine": machine(), "systems": golden["systems"] | {name: measured}}
        GOLDEN.write_text(json.dumps(golden, indent=1) + "\n", "utf-8")
    expected = golden["systems"][name]
    if golden["machine"] == machine():
        assert measured == expected
    else:
        assert len(measured["curve"]) == len(expected["curve"])
        for here, there in zip(measured["curve"], expected["curve"], strict=True):
            assert here == pytest.approx(there, abs=2e-3)
        assert measured["first_scores"] == pytest.approx(expected["first_scores"], abs=1e-2)

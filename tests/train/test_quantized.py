"""Training on a frozen model of 4 or 8 bits, as far as a CPU goes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corarec.recipe import RunConfig
from corarec.runs import load_run
from corarec.train import train_run
from corarec.train.metrics import read_metrics

pytest.importorskip("bitsandbytes", reason="pip install 'corarec[quantize]'")


@pytest.mark.parametrize("bits", [8])  # 4 bits want wider layers than those of the tiny model
def test_a_quantized_model_is_trained_and_opened_again(
    recipe: dict[str, Any], tmp_path: Path, bits: int
) -> None:
    backbone = recipe["system"]["backbone"] | {f"load_in_{bits}bit": True, "device_map": "cpu"}
    system = recipe["system"] | {"backbone": backbone}
    train_run(RunConfig.parse(recipe | {"system": system}, "the test"), tmp_path / "run")
    losses = [each["train_loss"] for each in read_metrics(tmp_path / "run") if "train_loss" in each]
    assert np.isfinite(losses).all()
    run = load_run(tmp_path / "run")
    kinds = {type(module).__name__ for module in run.recommender.base_model.modules()}
    assert kinds & {"Linear4bit", "Linear8bitLt"}
    pairs = run.dataset.pairs("valid")
    assert np.isfinite(run.scorer.score(pairs)).all()

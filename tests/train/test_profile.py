"""Where the time of scoring goes."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from corarec.data import Dataset
from corarec.errors import ConfigError, DataError
from corarec.recommenders import build_recommender
from corarec.recommenders.icl import ICLSystem
from corarec.train.profile import PARTS, Stopwatch, profile, profile_of


def test_parts_are_charged_what_runs_within_them_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("corarec.train.profile.time.perf_counter", lambda: now)
    watch = Stopwatch(torch.device("cpu"))
    with watch.running("linear"):
        now += 2
        with watch.running("attention"):
            now += 5
        now += 2
    with pytest.raises(ZeroDivisionError), watch.running("head"):
        watch.enter("increment")
        now += 1
        raise ZeroDivisionError
    now += 3  # between the parts nothing is charged
    with watch.running("generator"):
        now += 4
    expected = {"linear": 4, "attention": 5, "increment": 1, "generator": 4}
    assert {part: value for part, value in watch.seconds.items() if value} == expected


def test_a_recipe_tells_its_parts(recipe: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump(recipe))
    found = profile_of(path, "valid", 20, overrides=["system.activation=prompt"])
    assert found.pairs == 20
    assert found.tokens > 20 * 10
    seconds = found.seconds_by_part
    assert set(seconds) == set(PARTS)
    assert sum(seconds.values()) == pytest.approx(found.seconds)
    for part in ("tokens", "generator", "linear", "attention", "increment", "head"):
        assert seconds[part] > 0, part
    assert 0 < found.share_of_peak < found.linear_share_of_peak < 2
    assert found.own_mb > 0
    assert found.ways["last block"] == "for the last position alone"
    assert "read for every pair" in found.ways["beginnings"]
    assert json.loads(json.dumps(found.to_dict()))["pairs_per_second"] > 0
    shares = [float(share.rstrip("%")) for _, _, share in found.rows()]
    assert sum(shares) == pytest.approx(100, abs=0.5)
    assert shares == sorted(shares, reverse=True)
    late = profile_of(path, "valid", 20, overrides=["system.activation=title"])
    assert late.ways["beginnings"] == "read once"


def test_hooks_are_gone_afterwards_and_scores_are_the_same(
    small_world: Dataset, tiny_backbone: Path
) -> None:
    config = ICLSystem.model_validate({"backbone": {"model": str(tiny_backbone)}})
    system = build_recommender(config, small_world, None, seed=0).eval()
    found = profile(system, small_world.pairs("valid").take(slice(0, 6)))
    assert found.seconds_by_part["generator"] == 0
    assert not any(module._forward_hooks for module in system.modules())
    assert not any(module._forward_pre_hooks for module in system.modules())
    with pytest.raises(DataError, match="no pairs"):
        profile(system, small_world.pairs("valid").take(slice(0, 0)))


def test_values_of_a_run_are_set(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Leave out --set"):
        profile_of(tmp_path, overrides=["seed=1"])

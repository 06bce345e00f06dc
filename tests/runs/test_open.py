import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from corarec.cf import FitConfig, fit_cf
from corarec.data import Dataset
from corarec.errors import ArtifactError
from corarec.recipe import RunConfig
from corarec.recommenders.llm import PromptRecommender
from corarec.runs import Seal, load_run
from corarec.runs import open as opening
from corarec.runs.open import open_run
from corarec.score.scorer import Scorer
from corarec.train import train_run

ADAPTER = "adapter_model.safetensors"
SCALES = "vector_input.safetensors"


def scores(run: Path, data: Path | None = None) -> np.ndarray:
    parts = open_run(run, data)
    assert parts.splits is not None
    return Scorer(parts.recommender).score(parts.splits.pairs("test").take(np.arange(9)))


def test_opening_imports_no_trainer() -> None:
    code = "import sys, corarec.runs; sys.exit('transformers.trainer' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_opening_writes_nothing(home: Path) -> None:
    before = sorted(home.rglob("*"))
    open_run(home / "run")
    assert sorted(home.rglob("*")) == before


def test_run_and_dataset_can_be_moved_together(home: Path, moved: Path) -> None:
    config, *_ = open_run(moved / "run")
    assert config.data == (moved / "world").resolve()
    assert np.array_equal(scores(moved / "run"), scores(home / "run"))


def test_a_copied_run_finds_the_dataset_where_it_lay(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "run", tmp_path / "a" / "b" / "run")
    config, *_ = open_run(tmp_path / "a" / "b" / "run")
    assert config.data == (home / "world").resolve()


def test_a_dataset_that_is_gone_is_asked_for_and_can_be_named(
    recipe: dict[str, Any], moved: Path
) -> None:
    config = moved / "run" / "config.yaml"
    config.write_text(config.read_text().replace("/home0/world", "/nowhere"))
    (moved / "world").rename(moved / "renamed")
    with pytest.raises(ArtifactError, match="Say where it is now with --data FOLDER") as caught:
        open_run(moved / "run")
    assert "'synthetic'" in str(caught.value)
    assert load_run(moved / "run", moved / "renamed").config.data == moved / "renamed"
    with pytest.raises(ArtifactError, match=r"card\.json does not exist"):
        open_run(moved / "run", moved)


def test_titles_changed_after_training_are_noticed(moved: Path) -> None:
    path = moved / "world" / "items.parquet"
    pl.read_parquet(path).with_columns(title=pl.col("title").reverse()).write_parquet(path)
    config = moved / "run" / "config.yaml"
    config.write_text(config.read_text().replace("/home0/world", "/nowhere"))
    with pytest.raises(ArtifactError, match="is not the one that .* its titles are others"):
        open_run(moved / "run")


@pytest.mark.parametrize("name", ["card.json", "interactions.parquet"])
def test_the_dataset_beside_is_damaged_but_the_first_one_is_whole(
    home: Path, moved: Path, name: str
) -> None:
    (moved / "world" / name).write_text("{")
    config, *_ = open_run(moved / "run")
    assert config.data == (home / "world").resolve()


def test_a_config_edited_after_training_is_named(moved: Path) -> None:
    config = moved / "run" / "config.yaml"
    config.write_text(config.read_text().replace("batch_size: 8", "batch_size: 4"))
    with pytest.raises(ArtifactError, match=r"changed after training: train\.batch_size is 4, but"):
        open_run(moved / "run")
    config.write_text(config.read_text().replace("batch_size: 4", "batch_size: 8") + "# mine\n")
    open_run(moved / "run")


def test_a_backbone_may_move_since_its_weights_are_known(
    moved: Path, tiny_backbone: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_backbone, tmp_path / "llm")
    config = moved / "run" / "config.yaml"
    config.write_text(config.read_text().replace(str(tiny_backbone), str(tmp_path / "llm")))
    open_run(moved / "run")


def test_the_cf_model_of_another_dataset_or_fit_is_refused(
    moved: Path, small_world: Dataset, recipe: dict[str, Any]
) -> None:
    cf = moved / "run" / "cf"
    choice = FitConfig.model_validate(recipe["cf"])
    shutil.rmtree(cf)
    fit_cf(small_world, choice, seed=5, output=cf)
    with pytest.raises(ArtifactError, match="cf is not the CF model that .*best was trained with"):
        open_run(moved / "run")
    users = small_world.users.with_columns(raw_id=pl.col("raw_id").reverse())
    other = Dataset(small_world.card, small_world.interactions, small_world.items, users)
    shutil.rmtree(cf)
    fit_cf(other, choice, output=cf)
    with pytest.raises(ArtifactError, match="was fitted on another dataset: its users"):
        open_run(moved / "run")


def test_cf_tensors_cut_short_are_refused(moved: Path) -> None:
    path = moved / "run" / "cf" / "model.safetensors"
    tensors = load_file(path)
    save_file({**tensors, "users": tensors["users"][:-5].contiguous()}, path)
    with pytest.raises(ArtifactError, match=r"model\.safetensors is cut off or damaged"):
        open_run(moved / "run")


@pytest.mark.parametrize(
    "name", [ADAPTER, SCALES, "backbone.json", "adapter_config.json", "manifest.json"]
)
def test_a_file_of_the_weights_that_is_gone_or_changed_is_named(moved: Path, name: str) -> None:
    path = moved / "run" / "best" / name
    content = path.read_bytes()
    path.write_bytes(content[:-2])
    with pytest.raises(ArtifactError, match=name):
        open_run(moved / "run")
    path.unlink()
    with pytest.raises(ArtifactError, match=name):
        open_run(moved / "run")


def test_the_weights_of_another_run_are_refused(
    recipe: dict[str, Any], home: Path, moved: Path, tmp_path: Path
) -> None:
    other = {**recipe, "data": str(home / "world"), "seed": 1}
    train_run(RunConfig.parse(other, "recipe"), tmp_path / "other")
    shutil.copy(tmp_path / "other" / "best" / SCALES, moved / "run" / "best" / SCALES)
    with pytest.raises(ArtifactError, match="vector_input.safetensors is missing, damaged, or of"):
        open_run(moved / "run")
    shutil.rmtree(moved / "run" / "best")
    shutil.copytree(tmp_path / "other" / "best", moved / "run" / "best")
    with pytest.raises(ArtifactError, match="seed is 0, but .* was trained with 1"):
        open_run(moved / "run")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.to(torch.int32), "int32"),
        (lambda t: t.double(), "float64"),
        (lambda t: t * float("nan"), "not a finite number"),
        (lambda t: torch.full_like(t, float("inf")), "not a finite number"),
        (lambda t: t[:-1], "saved as"),
        (lambda t: None, "saved as nothing"),
    ],
)
@pytest.mark.parametrize("name", [ADAPTER, SCALES])
def test_weights_of_a_wrong_kind_are_refused_even_under_a_true_seal(
    home: Path, moved: Path, spoil: Any, message: str, name: str
) -> None:
    path = moved / "run" / "best" / name
    tensors = load_file(path)
    key = next(key for key in sorted(tensors) if tensors[key].ndim or name == SCALES)
    if tensors[key].ndim == 0 and message == "saved as":
        pytest.skip("a number has no rows")
    spoiled = spoil(tensors.pop(key))
    if spoiled is not None:
        tensors[key] = spoiled.contiguous()
    save_file(tensors, path)
    config, dataset, *_ = open_run(home / "run")
    Seal(moved / "run", config, dataset.fingerprint).write(moved / "run" / "best")
    with pytest.raises(ArtifactError, match=message) as caught:
        open_run(moved / "run")
    assert key in str(caught.value)


def test_weights_replaced_while_they_are_read_are_read_again(
    moved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best, calls = moved / "run" / "best", []
    load = PromptRecommender.load

    def replaced_meanwhile(self: PromptRecommender, folder: Path) -> None:
        calls.append(1)
        if len(calls) == 1:
            manifest = json.loads((best / "manifest.json").read_text())
            (best / "manifest.json").write_text(
                json.dumps(manifest, indent=2 + len(set(calls)) + opening.TRIES)
            )
        load(self, folder)

    monkeypatch.setattr(PromptRecommender, "load", replaced_meanwhile)
    open_run(moved / "run")
    assert len(calls) == 2
    monkeypatch.setattr(opening, "TRIES", 1)
    calls.clear()
    with pytest.raises(ArtifactError, match="was replaced 1 times while it was read"):
        open_run(moved / "run")


def test_an_untrained_run_is_bound_to_its_config_too(
    recipe: dict[str, Any], home: Path, tmp_path: Path
) -> None:
    icl = {"name": "icl", "backbone": recipe["system"]["backbone"]}
    config = {**recipe, "data": str(home / "world"), "cf": None, "system": icl}
    train_run(RunConfig.parse(config, "recipe"), tmp_path / "icl")
    open_run(tmp_path / "icl")
    path = tmp_path / "icl" / "config.yaml"
    path.write_text(path.read_text().replace("yes-minus-no", "'yes'"))
    with pytest.raises(ArtifactError, match="system.answer is 'yes', but"):
        open_run(tmp_path / "icl")


def test_a_run_of_an_earlier_version_says_so(moved: Path) -> None:
    (moved / "run" / "data.json").write_text('{"interactions": "0123"}')
    with pytest.raises(ArtifactError, match="written by an earlier version of corarec"):
        open_run(moved / "run")


def test_one_damaged_digest_of_the_dataset_is_told(moved: Path) -> None:
    path = moved / "run" / "data.json"
    content = json.loads(path.read_text())
    content["fingerprint"]["train"] = "0" * 64
    path.write_text(json.dumps(content))
    with pytest.raises(ArtifactError, match="is not the one that .* was trained on"):
        open_run(moved / "run")


def test_a_run_from_when_the_generator_was_a_name_alone_is_opened(moved: Path) -> None:
    run, sizes = moved / "run", ("num_queries", "num_blocks", "dropout")
    before = scores(run, moved / "world")
    manifest = json.loads((run / "best" / "manifest.json").read_text())
    for key in ("preset", *sizes):
        del manifest["config"][f"system.generator.{key}"]
    manifest["config"]["system.generator"] = "fit"
    (run / "best" / "manifest.json").write_text(json.dumps(manifest))
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["system"]["generator"] = "fit"
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    np.testing.assert_array_equal(scores(run, moved / "world"), before)
    for other in ("paper", {"preset": "fit", "dropout": 0.3}):
        config["system"]["generator"] = other
        (run / "config.yaml").write_text(yaml.safe_dump(config))
        with pytest.raises(ArtifactError, match=r"changed after training: system\.generator is"):
            open_run(run, moved / "world")

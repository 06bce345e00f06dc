import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from corarec.cf import FitConfig, fit_cf, seen_rows
from corarec.data import Dataset, KnowledgePolicy
from corarec.errors import ArtifactError, ConfigError, InUseError
from corarec.locks import LOCK, locked
from corarec.recipe import RunConfig, TrainConfig, load_recipe
from corarec.recommenders import TrainingData, build_recommender
from corarec.recommenders.icl import ICLRecommender
from corarec.runs import load_run
from corarec.runs.pack import pack_run
from corarec.train import run as run_module
from corarec.train.doctor import diagnose
from corarec.train.metrics import read_metrics
from corarec.train.run import train_run, training_rows, validation_rows
from corarec.train.trainer import RecommenderTrainer


def test_a_run_folder_holds_all_of_the_run(trained_run: Path, recipe: dict[str, Any]) -> None:
    names = {path.name for path in trained_run.iterdir()}
    assert names == {
        "best",
        "cf",
        "checkpoints",
        "config.yaml",
        "data.json",
        "metrics.jsonl",
        "training.json",
    }
    assert load_recipe(trained_run / "config.yaml") == RunConfig.parse(recipe, "recipe")
    records = read_metrics(trained_run)
    assert [r["step"] for r in records if "valid_auc" in r] == [3, 6]
    assert all(r["seconds"] >= 0 for r in records)


def test_another_config_in_the_same_folder_is_refused(
    trained_run: Path, recipe: dict[str, Any]
) -> None:
    other = RunConfig.parse({**recipe, "seed": 9}, "recipe")
    with pytest.raises(ConfigError, match="holds a run with another seed"):
        train_run(other, trained_run)


def test_a_folder_with_other_files_is_refused(tmp_path: Path, recipe: dict[str, Any]) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is no run folder"):
        train_run(RunConfig.parse(recipe, "recipe"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_what_was_cut_off_in_the_middle_says_so(trained_run: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="is no run folder: it has no config.yaml"):
        load_run(tmp_path)
    broken = tmp_path / "run"
    shutil.copytree(trained_run, broken)
    shutil.rmtree(broken / "best")
    with pytest.raises(ArtifactError, match="stopped before the first validation"):
        load_run(broken)
    shutil.rmtree(broken / "cf")
    with pytest.raises(ArtifactError, match="cf"):
        load_run(broken)


def test_a_recipe_that_cannot_be_run_claims_no_folder(
    tmp_path: Path, recipe: dict[str, Any]
) -> None:
    with pytest.raises(ArtifactError, match="no-such-data"):
        train_run(
            RunConfig.parse({**recipe, "data": str(tmp_path / "no-such-data")}, "recipe"),
            tmp_path / "run",
        )
    assert not (tmp_path / "run").exists()


def test_a_validation_sample_of_one_class_is_refused(small_world: Dataset) -> None:
    rows = validation_rows(small_world, TrainConfig(validation_rows=1))
    data = TrainingData(small_world, train_rows=small_world.rows("train"), valid_rows=rows)
    with pytest.raises(ConfigError, match=r"1 validation rows .* Raise train.validation_rows"):
        ICLRecommender.check(data)
    data = TrainingData(small_world, train_rows=rows, valid_rows=small_world.rows("valid"))
    with pytest.raises(ConfigError, match=r"1 training rows .* Lower train.train_from"):
        ICLRecommender.check(data)


def test_validation_can_be_on_the_rows_that_collm_draws(small_world: Dataset) -> None:
    drawn = small_world.sample("valid", fraction=0.5, seed=2023)
    rows = validation_rows(small_world, TrainConfig(validation_fraction=0.5))
    np.testing.assert_array_equal(rows, np.sort(drawn))
    assert len(rows) == round(len(small_world.rows("valid")) / 2)


def test_early_vectors_and_late_training_rows_share_no_second(small_world: Dataset) -> None:
    fitted = fit_cf(small_world, FitConfig(model="rates", train_until=0.6))[0]
    assert fitted.report is not None
    late = training_rows(small_world, 0.6)
    seen = seen_rows(small_world, fitted.report)
    assert not seen[late].any()
    assert seen.sum() + len(late) == len(small_world.rows("train"))


def test_the_validation_sample_is_fixed_and_of_the_asked_size(small_world: Dataset) -> None:
    first, second = (
        validation_rows(small_world, TrainConfig(validation_rows=30)),
        validation_rows(small_world, TrainConfig(validation_rows=30)),
    )
    assert len(first) == 30
    np.testing.assert_array_equal(first, second)
    everything = validation_rows(small_world, TrainConfig(validation_rows=10**6))
    np.testing.assert_array_equal(everything, small_world.rows("valid"))


def test_the_earliest_training_rows_can_be_left_out(small_world: Dataset) -> None:
    rows = training_rows(small_world, 0.6)
    times = small_world.interactions["timestamp"].to_numpy()
    left_out = np.setdiff1d(small_world.rows("train"), rows)
    assert len(rows) == pytest.approx(0.4 * len(small_world.rows("train")), abs=1)
    assert times[left_out].max() <= times[rows].min()


def test_the_first_period_of_a_snapshot_is_not_trained_on(small_world: Dataset) -> None:
    known = small_world.under(KnowledgePolicy(policy="snapshot", period=30))
    rows, times = training_rows(known, 0), small_world.interactions["timestamp"].to_numpy()
    train = small_world.rows("train")
    starts = times[train] // (30 * 86_400)
    assert rows.tolist() == train[starts > starts.min()].tolist()
    assert 0 < len(rows) < len(train)
    with pytest.raises(ConfigError, match=r"none to train on.*make knowledge\.period shorter"):
        training_rows(small_world.under(KnowledgePolicy(policy="snapshot", period=36_500)), 0)


def prolonged(recipe: dict[str, Any], **train: Any) -> RunConfig:
    return RunConfig.parse({**recipe, "train": {**recipe["train"], **train}}, "recipe")


def test_a_finished_run_goes_on_with_more_steps(
    recipe: dict[str, Any], trained_run: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained_run, folder)
    before = read_metrics(folder)
    said: list[str] = []
    train_run(prolonged(recipe, steps=12), folder, say=said.append)
    assert "goes on from step 6 with train.steps from 6 to 12" in said[0]
    assert "its learning rate follows" in said[0].lower()
    records = read_metrics(folder)
    assert records[: len(before)] == before
    assert [r["step"] for r in records if "valid_auc" in r] == [3, 6, 9, 12]
    load_run(folder)
    with pytest.raises(ConfigError, match="it can be raised, not lowered"):
        train_run(prolonged(recipe, steps=6), folder)


def test_the_first_step_after_the_change_has_the_rate_of_the_new_course(
    recipe: dict[str, Any], trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained_run, folder)
    rates: list[float] = []
    step = torch.optim.AdamW.step

    def noted(self: Any, *args: Any, **kwargs: Any) -> Any:
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", noted)
    config = prolonged(recipe, steps=8)
    train_run(config, folder)
    assert rates == pytest.approx([config.train.learning_rate_at(n) for n in (6, 7)])
    assert rates[0] > config.train.final_learning_rate * 1.5


def test_more_patience_takes_a_stopped_run_further(recipe: dict[str, Any], tmp_path: Path) -> None:
    impatient = {"steps": 60, "validate_every": 1, "patience": 1, "learning_rate": 1e-9}
    impatient |= {"final_learning_rate": 0, "warmup_start": 0}
    train_run(prolonged(recipe, **impatient), tmp_path / "run")
    stopped = read_metrics(tmp_path / "run")[-1]["step"]
    assert stopped < 10
    train_run(prolonged(recipe, **impatient | {"patience": 3}), tmp_path / "run")
    assert read_metrics(tmp_path / "run")[-1]["step"] == stopped + 2


def test_a_damaged_checkpoint_is_named_and_not_continued(
    recipe: dict[str, Any], trained_run: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained_run, folder)
    path = folder / "checkpoints" / "checkpoint-6" / "optimizer.pt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ArtifactError, match=r"optimizer\.pt is missing, damaged"):
        train_run(prolonged(recipe, steps=9), folder)


def test_two_trainings_cannot_share_a_folder(
    recipe: dict[str, Any], trained_run: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained_run, folder)
    with locked(folder / LOCK, "it"):
        with pytest.raises(InUseError, match=f"process {os.getpid()} on"):
            train_run(RunConfig.parse(recipe, "recipe"), folder)
        load_run(folder)  # reading needs no lock
    train_run(RunConfig.parse(recipe, "recipe"), folder)


@pytest.mark.parametrize("share", [0.9999, 0.999])
def test_a_share_that_leaves_no_rows_is_refused_before_any_work(
    recipe: dict[str, Any], tmp_path: Path, share: float
) -> None:
    with pytest.raises(ConfigError, match=r"leaves [01] of [\d,]+ training rows.*Lower train"):
        train_run(prolonged(recipe, train_from=share), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_validation_share_of_no_rows_is_refused(small_world: Dataset) -> None:
    rows = validation_rows(small_world, TrainConfig(validation_fraction=1e-6))
    data = TrainingData(small_world, small_world.rows("train"), rows)
    with pytest.raises(ConfigError, match=r"The 0 validation rows have the labels \[\]"):
        ICLRecommender.check(data)


def test_a_cf_model_of_another_dataset_is_refused(
    recipe: dict[str, Any], small_world: Dataset, tmp_path: Path
) -> None:
    users = small_world.users.with_columns(raw_id=small_world.users["raw_id"].reverse())
    other = Dataset(small_world.card, small_world.interactions, small_world.items, users)
    fit_cf(other, FitConfig.model_validate(recipe["cf"]), output=tmp_path / "cf")
    config = RunConfig.parse({**recipe, "cf": {"path": str(tmp_path / "cf")}}, "recipe")
    with pytest.raises(ArtifactError, match="cf was fitted on another dataset: its users"):
        train_run(config, tmp_path / "run")
    with pytest.raises(ArtifactError, match="cf was fitted on another dataset: its users"):
        diagnose(config)


def test_a_run_with_residual_loss_and_mean_goes_on_and_serves_as_it_was_trained(
    recipe: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = recipe | {
        "knowledge": "streaming",
        "cf": {"model": "statistics", "options": {"head": "lr", "folds": 2}},
        "system": recipe["system"]
        | {"residual": "cf", "activation": "title", "vectors": {"drop_families": 0.2}},
        "train": recipe["train"] | {"loss": {"pairwise": 0.5, "rows_per_user": 2}, "average": 0.5},
    }
    config = RunConfig.model_validate(values)
    train_run(config, tmp_path / "whole")
    step = RecommenderTrainer.training_step
    taken: list[int] = []

    def stops(self: Any, *args: Any, **kwargs: Any) -> Any:
        taken.append(1)
        if len(taken) == 5:
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    monkeypatch.setattr(RecommenderTrainer, "training_step", stops)
    with pytest.raises(KeyboardInterrupt):
        train_run(config, tmp_path / "stopped")
    monkeypatch.undo()
    train_run(config, tmp_path / "stopped")
    for name in ("adapter_model", "residual", "vector_input"):
        one, other = (
            load_file(tmp_path / run / "best" / f"{name}.safetensors")
            for run in ("whole", "stopped")
        )
        assert all(torch.equal(one[key], other[key]) for key in one)
    run = load_run(tmp_path / "whole")
    assert run.cf is not None
    pairs = run.dataset.pairs("test")
    scores = run.scorer.score(pairs)
    assert np.corrcoef(scores, run.cf.score(pairs))[0, 1] > 0.99
    packed = load_run(pack_run(tmp_path / "whole", tmp_path / "packed").output)
    for someone in ({"user": "7"}, {"liked": run.dataset.titles[3:5]}):
        assert packed.recommend(k=5, **someone).equals(run.recommend(k=5, **someone))
    # Without what CF knows, its score is that of a stranger; without the increment it still stands.
    explained = run.explain("7", run.dataset.item_vocabulary.raw_ids[0])
    parts = set(explained.effects["without"])
    assert {"user-and-item", "adapter"} <= parts


def test_what_earlier_trainings_compiled_is_forgotten_before_a_model_is_loaded(
    recipe: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    build = build_recommender

    def built(*args: Any, **options: Any) -> Any:
        order.append("built")
        return build(*args, **options)

    monkeypatch.setattr(run_module, "build_recommender", built)
    monkeypatch.setattr(run_module, "forget_compiled", lambda: order.append("forgotten"))
    for name in ("first", "second"):
        config = {**recipe, "train": recipe["train"] | {"steps": 1, "validate_every": 1}}
        train_run(RunConfig.parse(config, "the test"), tmp_path / name)
    assert order == ["forgotten", "built"] * 2

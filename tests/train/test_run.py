import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corarec.cf import FitConfig, fit_cf, seen_rows
from corarec.data import Dataset
from corarec.errors import ArtifactError, ConfigError
from corarec.score import load_run
from corarec.train.config import TrainConfig
from corarec.train.metrics import read_metrics
from corarec.train.recipe import RunConfig, load_recipe
from corarec.train.run import Validation, train_run, training_rows


def test_a_run_folder_holds_all_of_the_run(trained_run: Path, recipe: dict[str, Any]) -> None:
    names = {path.name for path in trained_run.iterdir()}
    assert names == {"best", "cf", "checkpoints", "config.yaml", "data.json", "metrics.jsonl"}
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
    with pytest.raises(ConfigError, match="Raise train.validation_rows"):
        Validation(small_world, TrainConfig(validation_rows=1))


def test_validation_can_be_on_the_rows_that_collm_draws(small_world: Dataset) -> None:
    drawn = small_world.sample("valid", fraction=0.5, seed=2023)
    validation = Validation(small_world, TrainConfig(validation_fraction=0.5))
    wanted = small_world.pairs(np.sort(drawn))
    np.testing.assert_array_equal(validation.pairs.item_ids, wanted.item_ids)
    np.testing.assert_array_equal(validation.pairs.user_ids, wanted.user_ids)
    assert len(validation.pairs) == round(len(small_world.rows("valid")) / 2)


def test_early_vectors_and_late_training_rows_share_no_second(small_world: Dataset) -> None:
    fitted = fit_cf(small_world, FitConfig(model="rates", train_until=0.6))[0]
    assert fitted.report is not None
    late = training_rows(small_world, 0.6)
    seen = seen_rows(small_world, fitted.report)
    assert not seen[late].any()
    assert seen.sum() + len(late) == len(small_world.rows("train"))


def test_the_validation_sample_is_fixed_and_of_the_asked_size(small_world: Dataset) -> None:
    first, second = (
        Validation(small_world, TrainConfig(validation_rows=30)),
        Validation(small_world, TrainConfig(validation_rows=30)),
    )
    assert len(first.labels) == 30
    np.testing.assert_array_equal(first.pairs.item_ids, second.pairs.item_ids)
    everything = Validation(small_world, TrainConfig(validation_rows=10**6))
    assert len(everything.labels) == len(small_world.rows("valid"))


def test_the_earliest_training_rows_can_be_left_out(small_world: Dataset) -> None:
    rows = training_rows(small_world, 0.6)
    times = small_world.interactions["timestamp"].to_numpy()
    left_out = np.setdiff1d(small_world.rows("train"), rows)
    assert len(rows) == pytest.approx(0.4 * len(small_world.rows("train")), abs=1)
    assert times[left_out].max() <= times[rows].min()

import shutil
from pathlib import Path

import pytest

from corarec.data import Dataset, PrepareConfig, prepare
from corarec.errors import ConfigError
from corarec.recipe import FittedCF

from .conftest import MakeSuite
from .planning import do_all, planner, states


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for runs that are made once for the tests of this file."""
    return tmp_path_factory.mktemp("done")


@pytest.fixture
def made(make_suite: MakeSuite, done: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Return a suite of one row and the folder with its run."""
    path = make_suite({"CoRA": {}})
    do_all(path, done)
    shutil.copytree(done, tmp_path / "runs")
    return path, tmp_path / "runs"


def test_runs_are_known_wherever_data_and_shared_models_lie(
    made: tuple[Path, Path], make_suite: MakeSuite, tmp_path: Path, small_world: Dataset
) -> None:
    path, runs = made
    (shared,) = (runs / "suite" / "cf").glob("mf-b-*")
    shared.rename(shared.with_name("mf-b-00000000-0"))
    small_world.save(tmp_path / "copy")
    moved = tmp_path / "moved"
    runs.rename(moved)
    path = make_suite({"CoRA": {}}, set=[f"data={tmp_path / 'copy'}"])
    assert states(path, moved) == {"cora-0": "done"}
    again = make_suite(
        {"CoRA": {}, "B": {"set": ["system.rank=1"]}}, set=[f"data={tmp_path / 'copy'}"]
    )
    plan = planner(again, moved).plan()
    config = plan.runs[1].config
    assert isinstance(config.cf, FittedCF)
    assert config.cf.path.name == "mf-b-00000000-0"
    assert [cf.done for cf in plan.cf] == [True]


@pytest.mark.parametrize(
    "override", ["system.rank=1", "train.steps=4", "train.patience=3", "cf.options.max_epochs=4"]
)
def test_a_run_of_another_recipe_is_refused_by_name(
    override: str, made: tuple[Path, Path], make_suite: MakeSuite
) -> None:
    _, runs = made
    before = {file: file.stat().st_mtime_ns for file in runs.rglob("*")}
    path = make_suite({"CoRA": {"set": [override]}})
    with pytest.raises(ConfigError, match=r"cora-0 holds a run .*another .*It is left as it is"):
        planner(path, runs).plan()
    assert {file: file.stat().st_mtime_ns for file in runs.rglob("*")} == before


def test_threads_and_trackers_make_no_other_recipe(
    made: tuple[Path, Path], make_suite: MakeSuite
) -> None:
    _, runs = made
    overrides = ["train.threads=2", "train.report_to=[tensorboard]"]
    path = make_suite({"CoRA": {"set": [*overrides, "train.gradient_checkpointing=true"]}})
    assert states(path, runs) == {"cora-0": "done"}


def test_a_run_on_another_dataset_is_refused(
    made: tuple[Path, Path], make_suite: MakeSuite, tmp_path: Path
) -> None:
    size = {"num_users": 60, "num_items": 50, "interactions_per_user": 20, "seed": 5}
    config = {"source": "synthetic", "output": tmp_path / "other", "split": "published"}
    prepare(PrepareConfig.model_validate(config | {"source_options": size}))
    _, runs = made
    path = make_suite({"CoRA": {}}, set=[f"data={tmp_path / 'other'}"])
    with pytest.raises(ConfigError, match="cora-0 holds a run on another dataset"):
        planner(path, runs).plan()
    two = {"CoRA": {}, "B": {"set": [f"data={tmp_path / 'other'}"]}}
    with pytest.raises(ConfigError, match="rows of one table are compared on the same rows"):
        planner(make_suite(two), tmp_path / "elsewhere").plan()

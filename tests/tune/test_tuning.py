import gc
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from tests.tune.conftest import MakeSpace

from corarec.data import Dataset
from corarec.errors import ArtifactError, ConfigError, CorarecError, StorageError, TrainingError
from corarec.evaluate.metrics import auc, uauc
from corarec.files import read_json, write_json
from corarec.recipe import RunConfig, load_recipe
from corarec.runs import load_run
from corarec.train import train_run
from corarec.train.metrics import read_metrics
from corarec.train.run import validation_rows
from corarec.tune import Outcome, TuneConfig, tune, tuning
from corarec.tune.home import SETTINGS
from corarec.tune.journal import JOURNAL
from corarec.tune.trials import Ended

RATES = {"low": 1e-4, "high": 1e-2, "log": True}
SPACE = {"train.learning_rate": RATES, "system.rank": [1, 2, 4]}


def made_up(config: RunConfig, run: Path, **_: Any) -> None:
    """Stand in for a training."""
    run.mkdir(parents=True)


def worth(run: Path, config: RunConfig, *_: Any) -> Ended:
    """Stand in for its measure: a known function of what is tuned."""
    rank = config.system.model_dump()["rank"]
    return Ended("complete", -abs(np.log(config.train.learning_rate / 1e-3)) - rank, 1, 1.0)


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let trials take no time."""
    monkeypatch.setattr(tuning, "train_run", made_up)
    monkeypatch.setattr(tuning, "measure", worth)
    monkeypatch.setattr(tuning, "load_backbone", lambda _: None)
    monkeypatch.setattr(gc, "collect", lambda: 0)  # half a second each
    return monkeypatch


def values(outcome: Outcome) -> list[tuple[Any, ...]]:
    return [(t.state, t.value, t.step, *t.values.values()) for t in outcome.trials]


def test_a_tuning_keeps_the_best_of_its_trials(make_space: MakeSpace, tmp_path: Path) -> None:
    folder = tmp_path / "tuned"
    outcome = tune(make_space(SPACE), folder, TuneConfig(trials=2))
    assert [trial.state for trial in outcome.trials] == ["complete"] * 2
    assert outcome.metric == "auc"
    found = []
    for trial in outcome.trials:
        run = folder / trial.folder
        load_run(run)  # of the normal kind
        config = load_recipe(run / "config.yaml")
        assert config.train.learning_rate == trial.values["train.learning_rate"]
        assert config.system.model_dump()["rank"] == trial.values["system.rank"]
        records = [record for record in read_metrics(run) if "valid_auc" in record]
        best = max(records, key=lambda record: record["valid_auc"])
        assert (trial.value, trial.step) == (best["valid_auc"], best["step"])
        found.append(best["valid_auc"])
    assert outcome.best is not None
    assert outcome.best.number == int(np.argmax(found))
    table = pl.read_parquet(folder / "trials.parquet")
    assert table["auc"].to_list() == found
    assert table["train.learning_rate"].to_list() == [
        trial.values["train.learning_rate"] for trial in outcome.trials
    ]
    fitted = [path for path in (folder / "cf").iterdir() if path.is_dir()]
    assert len(fitted) == 1  # once for all trials

    text = (folder / "best.yaml").read_text("utf-8")
    assert f"# Trial {outcome.best.number} of 2: auc" in text
    assert f"at step {outcome.best.step};" in text
    (folder / "cf").rename(tmp_path / "gone")  # it trains as it stands, without the tuning
    train_run(load_recipe(folder / "best.yaml"), tmp_path / "run")
    records = read_metrics(tmp_path / "run")
    assert max(r["valid_auc"] for r in records if "valid_auc" in r) == outcome.best.value


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_the_same_seed_tunes_alike_however_often_it_stops(
    sampler: Any, make_space: MakeSpace, tmp_path: Path, untrained: pytest.MonkeyPatch
) -> None:
    space = make_space(SPACE)
    for name, budgets, seed in (("one", [13], 0), ("two", [1, 11, 13], 0), ("other", [13], 1)):
        for budget in budgets:
            config = TuneConfig(trials=budget, sampler=sampler, seed=seed)
            outcome = tune(space, tmp_path / name, config)
            assert len(outcome.trials) == budget
    one, two, other = (
        pl.read_parquet(tmp_path / name / "trials.parquet") for name in ("one", "two", "other")
    )
    assert one.equals(two)
    assert one["train.learning_rate"].n_unique() == 13
    assert not one["train.learning_rate"].equals(other["train.learning_rate"])
    fewer = tune(space, tmp_path / "two", TuneConfig(trials=3, sampler=sampler))
    assert len(fewer.trials) == 13  # nothing to do, and nothing is lost


def test_tpe_learns_from_the_trials_before(
    make_space: MakeSpace, tmp_path: Path, untrained: pytest.MonkeyPatch
) -> None:
    outcome = tune(make_space(SPACE), tmp_path / "tuned", TuneConfig(trials=40))
    ranks = [trial.values["system.rank"] for trial in outcome.trials]
    assert ranks[20:].count(1) > 2 * 20 / 3  # the best of three, and no more by chance
    assert outcome.best is not None
    assert outcome.best.value == pytest.approx(-1, abs=0.3)


class Killed(BaseException):
    """What ends a process, as `SIGKILL` does but that locks are given back by hand."""


@pytest.mark.slow
def test_a_killed_training_goes_on(
    make_space: MakeSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space, whole, folder = make_space(SPACE), tmp_path / "whole", tmp_path / "tuned"
    expected = tune(space, whole, TuneConfig(trials=2))
    began: list[int] = []

    def kill(config: RunConfig, run: Path, *, show: Any, **others: Any) -> None:
        def fatal(record: dict[str, Any]) -> None:
            show(record)
            began.append(record["step"])
            if run.name == "001" and record["step"] >= 5:
                raise Killed

        train_run(config, run, show=fatal, **others)

    monkeypatch.setattr(tuning, "train_run", kill)
    with pytest.raises(Killed):
        tune(space, folder, TuneConfig(trials=2))
    with (folder / JOURNAL).open("ab") as journal:
        journal.write(b'{"op_code": 8, "worker')  # what a writer leaves that was cut off
    monkeypatch.setattr(tuning, "train_run", train_run)
    steps: list[int] = []

    def note(config: RunConfig, run: Path, *, show: Any, **others: Any) -> None:
        train_run(config, run, show=lambda record: steps.append(record["step"]), **others)

    monkeypatch.setattr(tuning, "train_run", note)
    outcome = tune(space, folder, TuneConfig(trials=2))
    assert values(outcome) == values(expected)
    assert steps
    assert min(steps) > 3  # from the checkpoint of the validation before
    assert (folder / "best.yaml").read_text() == (whole / "best.yaml").read_text()


def test_only_validation_chooses(
    make_space: MakeSpace,
    small_world: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The rows of the test split may say anything, and nobody asks for them."""
    frame = small_world.interactions
    assert len(small_world.rows("test"))
    lied = frame.with_columns(
        pl.when(pl.col("split") == "test")
        .then(1 - pl.col("label"))
        .otherwise(pl.col("label"))
        .cast(frame["label"].dtype)
        .alias("label")
    )
    replace(small_world, interactions=lied).save(tmp_path / "lied")
    asked: list[Any] = []
    for name in ("rows", "pairs", "labels"):
        plain = getattr(Dataset, name)

        def noted(self: Dataset, which: Any, *more: Any, _plain: Any = plain, **named: Any) -> Any:
            asked.append(which if isinstance(which, str) else "rows")
            return _plain(self, which, *more, **named)

        monkeypatch.setattr(Dataset, name, noted)
    honest = tune(make_space(SPACE), tmp_path / "one", TuneConfig(trials=1, metric="uauc"))
    other = tune(
        make_space(SPACE, data=str(tmp_path / "lied")),
        tmp_path / "two",
        TuneConfig(trials=1, metric="uauc"),
    )
    assert values(honest) == values(other)
    assert "valid" in asked
    assert "test" not in asked
    assert not list(tmp_path.rglob("test_evaluations.jsonl"))


def test_another_metric_is_of_the_same_weights(make_space: MakeSpace, tmp_path: Path) -> None:
    space = make_space({"system.rank": [1, 4]})
    outcome = tune(space, tmp_path / "tuned", TuneConfig(trials=1, metric="uauc"))
    (trial,) = outcome.trials
    run = load_run(tmp_path / "tuned" / trial.folder)
    dataset = run.dataset
    rows = validation_rows(dataset, run.config.train)
    pairs = dataset.pairs(rows)
    scores = run.scorer.score(pairs)
    assert trial.value == uauc(pairs.user_ids, dataset.labels(rows), scores)
    assert read_metrics(run.folder)[-1]["step"] >= (trial.step or 0)


def test_of_a_loss_the_lowest_is_best(
    make_space: MakeSpace, tmp_path: Path, untrained: pytest.MonkeyPatch
) -> None:
    outcome = tune(make_space(SPACE), tmp_path / "tuned", TuneConfig(trials=4, metric="logloss"))
    assert outcome.best is not None
    assert outcome.best.value == min(trial.value or np.inf for trial in outcome.trials)


def test_a_system_that_trains_nothing_is_tuned_too(make_space: MakeSpace, tmp_path: Path) -> None:
    backbone = make_space({"system.rank": [1]}).base.system.backbone.model_dump(mode="json")
    system = {"name": "icl", "backbone": backbone}
    space = make_space({"system.prompt.history_length": [1, 5]}, system=system, cf=None)
    outcome = tune(space, tmp_path / "tuned", TuneConfig(trials=9, sampler="grid"))
    assert outcome.budget == 2  # all that there is
    for trial in outcome.trials:
        run = load_run(tmp_path / "tuned" / trial.folder)
        rows = validation_rows(run.dataset, run.config.train)
        scores = run.scorer.score(run.dataset.pairs(rows))
        assert trial.value == pytest.approx(auc(run.dataset.labels(rows), scores))
        assert trial.step is None


def test_a_grid_is_every_combination_once(
    make_space: MakeSpace, tmp_path: Path, untrained: pytest.MonkeyPatch
) -> None:
    space = make_space({"system.rank": [1, 2], "train.batch_size": [4, 8]})
    outcome = tune(space, tmp_path / "tuned", TuneConfig(trials=7, sampler="grid"))
    points = [tuple(trial.values.values()) for trial in outcome.trials]
    assert sorted(points) == [(1, 4), (1, 8), (2, 4), (2, 8)]
    assert outcome.best is not None
    assert outcome.best.number == min(n for n, point in enumerate(points) if point[0] == 1)


def test_keys_in_another_order_go_on_as_it_began(
    make_space: MakeSpace, tmp_path: Path, untrained: pytest.MonkeyPatch
) -> None:
    axes = {"system.rank": [1, 2], "train.batch_size": [4, 8], "train.learning_rate": [1e-3, 1e-2]}
    turned = dict(reversed(axes.items()))
    for sampler in ("grid", "random"):
        folder = tmp_path / sampler
        tune(make_space(axes), folder, TuneConfig(trials=3, sampler=sampler))
        stopped = tune(make_space(turned), folder, TuneConfig(trials=8, sampler=sampler))
        whole = tune(
            make_space(axes), tmp_path / f"{sampler}-whole", TuneConfig(trials=8, sampler=sampler)
        )
        assert [t.values for t in stopped.trials] == [t.values for t in whole.trials]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TrainingError("The loss became nan at step 3."), "The loss became nan at step 3."),
        (torch.OutOfMemoryError("CUDA out of memory."), "There is not enough memory"),
        (MemoryError(), "There is not enough memory"),
        (ConfigError("The options do not go together."), "The options do not go together."),
        (ZeroDivisionError("of a stranger"), "ZeroDivisionError: of a stranger"),
    ],
)
def test_a_failed_trial_says_why_and_the_next_goes_on(
    error: Exception,
    reason: str,
    make_space: MakeSpace,
    tmp_path: Path,
    untrained: pytest.MonkeyPatch,
) -> None:
    space, folder = make_space(SPACE), tmp_path / "tuned"

    def fail(config: RunConfig, run: Path, **_: Any) -> None:
        if run.name != "001":
            raise error

    untrained.setattr(tuning, "train_run", fail)
    outcome = tune(space, folder, TuneConfig(trials=3))
    assert [trial.state for trial in outcome.trials] == ["failed", "complete", "failed"]
    assert outcome.trials[0].reason is not None
    assert outcome.trials[0].reason.startswith(reason)
    assert outcome.best == outcome.trials[1]
    table = pl.read_parquet(folder / "trials.parquet")
    assert table["reason"].to_list()[0].startswith(reason)
    assert len(tune(space, folder, TuneConfig(trials=3)).trials) == 3  # they count as trials


def test_a_loss_that_is_no_number_fails_its_trial_alone(
    make_space: MakeSpace, tmp_path: Path
) -> None:
    space = make_space({"train.learning_rate": [1e-3, 1e30]}, ("train.max_gradient_norm=0",))
    outcome = tune(space, tmp_path / "tuned", TuneConfig(trials=2, sampler="grid"))
    states = {trial.values["train.learning_rate"]: trial.state for trial in outcome.trials}
    assert states == {1e-3: "complete", 1e30: "failed"}


@pytest.mark.parametrize("error", [StorageError("full"), ArtifactError("damaged")])
def test_what_is_no_fault_of_a_trial_stops_the_tuning(
    error: Exception, make_space: MakeSpace, tmp_path: Path, untrained: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    untrained.setattr(tuning, "train_run", fail)
    with pytest.raises(type(error)):
        tune(make_space(SPACE), tmp_path / "tuned", TuneConfig(trials=2))
    untrained.setattr(tuning, "train_run", made_up)
    outcome = tune(make_space(SPACE), tmp_path / "tuned", TuneConfig(trials=2))
    assert [trial.state for trial in outcome.trials] == ["complete"] * 2


def test_a_language_model_that_is_not_there_fails_its_trial(
    make_space: MakeSpace, tmp_path: Path
) -> None:
    there = make_space({"system.rank": [1]}).base.system.backbone.model
    space = make_space({"system.backbone.model": [there, str(tmp_path / "gone")]})
    outcome = tune(space, tmp_path / "tuned", TuneConfig(trials=2, sampler="grid"))
    states = {trial.values["system.backbone.model"]: trial.state for trial in outcome.trials}
    assert states == {there: "complete", str(tmp_path / "gone"): "failed"}


def test_values_that_do_not_go_together_fail_alone(
    make_space: MakeSpace, tmp_path: Path, untrained: pytest.MonkeyPatch
) -> None:
    rates = {"train.learning_rate": [1e-5, 1e-3], "train.final_learning_rate": [1e-6, 1e-4]}
    outcome = tune(make_space(rates), tmp_path / "tuned", TuneConfig(trials=4, sampler="grid"))
    (failed,) = [trial for trial in outcome.trials if trial.state == "failed"]
    assert failed.values == {"train.learning_rate": 1e-5, "train.final_learning_rate": 1e-4}
    assert failed.reason is not None
    assert "above learning_rate" in failed.reason


def test_trials_behind_the_others_are_pruned(
    make_space: MakeSpace, tmp_path: Path, untrained: pytest.MonkeyPatch
) -> None:
    """The first five set the median; then one is below it from its first validation on."""
    aucs = [0.6, 0.6, 0.6, 0.6, 0.6, 0.4, 0.7]

    def validated(config: RunConfig, run: Path, *, show: Any, **_: Any) -> None:
        for step in (3, 6):
            show({"step": step, "train_loss": 1.0, "seconds": 1.0})
            show({"step": step, "valid_auc": aucs[int(run.name)], "seconds": 1.0})

    untrained.setattr(tuning, "train_run", validated)
    value = lambda run, *_: Ended("complete", aucs[int(run.name)], 3, 1.0)  # noqa: E731
    untrained.setattr(tuning, "measure", value)
    outcome = tune(make_space(SPACE), tmp_path / "tuned", TuneConfig(trials=7, prune=True))
    assert [trial.state for trial in outcome.trials] == [*["complete"] * 5, "pruned", "complete"]
    assert outcome.trials[5].reason == "its auc was behind the others' at step 3"
    assert outcome.best == outcome.trials[6]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (TuneConfig(trials=1, metric="recall"), "no metric 'recall'.*own is auc"),
        (TuneConfig(trials=1, metric="uauc", prune=True), "which measure auc, not uauc"),
        (TuneConfig(trials=1, sampler="grid"), "has a range, and a grid needs choices"),
    ],
)
def test_what_cannot_be_done_is_told_before_any_work(
    config: TuneConfig, words: str, make_space: MakeSpace, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=words):
        tune(make_space(SPACE), tmp_path / "tuned", config)
    assert not (tmp_path / "tuned").exists()


def test_a_recipe_that_cannot_be_trained_begins_no_trial(
    make_space: MakeSpace, tmp_path: Path
) -> None:
    for overrides, words in (
        (("train.validation_rows=1",), "1 validation rows"),
        (("system.backbone.model=no-such-model",), "no-such-model"),
        (("train.train_from=0.99999",), "Lower train.train_from"),
    ):
        with pytest.raises(CorarecError, match=words):
            tune(make_space(SPACE, overrides), tmp_path / "tuned", TuneConfig(trials=1))
    assert not (tmp_path / "tuned").exists()


def test_a_metric_without_a_value_begins_no_trial(
    make_space: MakeSpace, tmp_path: Path, untrained: pytest.MonkeyPatch
) -> None:
    def two_users(dataset: Dataset, *_: Any) -> Any:
        """Return a liked row of one user and one of another that was not liked."""
        rows = dataset.rows("valid")
        users, labels = dataset.pairs(rows).user_ids, dataset.labels(rows)
        liked = int(np.flatnonzero(labels == 1)[0])
        other = int(np.flatnonzero((labels == 0) & (users != users[liked]))[0])
        return rows[[liked, other]]

    untrained.setattr(tuning, "validation_rows", two_users)
    with pytest.raises(ConfigError, match=r"The uauc has no value on the 2 validation rows"):
        tune(make_space(SPACE), tmp_path / "tuned", TuneConfig(trials=1, metric="uauc"))
    assert not (tmp_path / "tuned").exists()
    assert len(tune(make_space(SPACE), tmp_path / "tuned", TuneConfig(trials=1)).trials) == 1


def test_a_folder_with_anything_else_is_left_alone(
    make_space: MakeSpace, tmp_path: Path, trained_run: Path
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("mine")
    for folder, words in ((mine, "thesis.txt"), (trained_run, "holds no tuning")):
        with pytest.raises(ConfigError, match=words):
            tune(make_space(SPACE), folder, TuneConfig(trials=1))
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]
    with pytest.raises(ConfigError, match="is a file"):
        tune(make_space(SPACE), mine / "thesis.txt", TuneConfig(trials=1))


def test_another_tuning_in_the_same_folder_is_refused(
    make_space: MakeSpace, tmp_path: Path, untrained: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tuned"
    one = TuneConfig(trials=1)
    tune(make_space(SPACE), folder, one)
    tune(make_space(SPACE, ("train.threads=2",)), folder, one)  # changes nothing but the pace
    for space, config, words in (
        (make_space(SPACE, ("train.steps=9",)), one, "another recipe: train.steps"),
        (make_space(SPACE, ("seed=9",)), one, "another recipe: seed"),
        (make_space(SPACE), TuneConfig(trials=1, seed=1), "with another seed"),
        (make_space(SPACE), TuneConfig(trials=1, metric="uauc"), "with another metric"),
        (make_space({"system.rank": [1, 2]}), one, r"another space: system.rank, space: train"),
    ):
        with pytest.raises(ConfigError, match=words):
            tune(space, folder, config)


def test_a_tuning_that_an_earlier_version_began_goes_on(
    make_space: MakeSpace, tmp_path: Path, untrained: pytest.MonkeyPatch
) -> None:
    folder, one = tmp_path / "tuned", TuneConfig(trials=1)
    tune(make_space(SPACE), folder, one)
    settings = read_json(folder / SETTINGS)
    del settings["recipe"]["system.prompt.past_title"]
    write_json(folder / SETTINGS, settings)
    tune(make_space(SPACE), folder, one)
    other = ('system.prompt.past_title="{title}: {stars}"',)
    with pytest.raises(ConfigError, match=r"another recipe: system\.prompt\.past_title"):
        tune(make_space(SPACE, other), folder, one)
    del settings["recipe"]["train.steps"]  # which is not the default there
    write_json(folder / SETTINGS, settings)
    with pytest.raises(ConfigError, match=r"another recipe: train\.steps"):
        tune(make_space(SPACE), folder, one)


def test_a_damaged_journal_is_told(
    make_space: MakeSpace, tmp_path: Path, untrained: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tuned"
    tune(make_space(SPACE), folder, TuneConfig(trials=2))
    lines = (folder / JOURNAL).read_text().splitlines()
    (folder / JOURNAL).write_text("\n".join([lines[0], "garbage", *lines[1:]]) + "\n")
    with pytest.raises(ArtifactError, match=f"{JOURNAL} is damaged"):
        tune(make_space(SPACE), folder, TuneConfig(trials=2))


WORKER = """
import sys, time
from pathlib import Path
from corarec.tune import TuneConfig, load_space, tune, tuning
from corarec.tune.trials import Ended
folder = Path(sys.argv[1])
def train(config, run, **_):
    print(run.name, flush=True)
    time.sleep(float(sys.argv[3]))
tuning.train_run = train
tuning.measure = lambda *_: Ended("complete", 0.5, 1, 1.0)
space = load_space(folder / "space.yaml", folder / "recipe.yaml")
tune(space, folder / "tuned", TuneConfig(trials=int(sys.argv[2])))
"""


def worker(folder: Path, trials: int, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER, str(folder), str(trials), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_processes_share_the_trials_and_one_may_be_killed(
    make_space: MakeSpace, tmp_path: Path, untrained: pytest.MonkeyPatch
) -> None:
    space = make_space(SPACE)
    doomed, other = worker(tmp_path, 12, 600.0), worker(tmp_path, 12, 0.0)
    assert doomed.stdout is not None
    held = doomed.stdout.readline().strip()
    ours: list[str] = []

    def note(config: RunConfig, run: Path, **_: Any) -> None:
        ours.append(run.name)

    untrained.setattr(tuning, "train_run", note)
    outcome = tune(space, tmp_path / "tuned", TuneConfig(trials=12))
    theirs = other.communicate()[0].split()
    assert other.returncode == 0
    # Each once, and none that another process trains.
    assert sorted([*ours, *theirs, held]) == [f"{number:03d}" for number in range(12)]
    os.kill(doomed.pid, signal.SIGKILL)
    doomed.wait()
    ours.clear()
    outcome = tune(space, tmp_path / "tuned", TuneConfig(trials=12))
    assert ours == [held]
    assert [trial.state for trial in outcome.trials] == ["complete"] * 12
    assert outcome.best is not None
    best = load_recipe(tmp_path / "tuned" / "best.yaml")
    assert best.train.learning_rate == outcome.best.values["train.learning_rate"]

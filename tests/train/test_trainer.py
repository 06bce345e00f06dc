"""The trainer on a system small enough to train in a second, with dropout to catch lost RNGs."""

import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from corarec.errors import ArtifactError, TrainingError
from corarec.ownership import MARKER
from corarec.recipe import TrainConfig
from corarec.recommenders.pointwise import LabelledExamples, PointwiseRecommender
from corarec.runs.layout import BEST
from corarec.score.batches import Batch
from corarec.score.scorer import Scorer
from corarec.staging import temporary_folder
from corarec.train.checkpoints import CHECKPOINTS, last_checkpoint
from corarec.train.metrics import MetricsLog, read_metrics
from corarec.train.trainer import RecommenderTrainer
from corarec.types import Histories, IntArray, Pairs

CONFIG = TrainConfig(
    steps=40, batch_size=8, accumulate=2, warmup_steps=4, validate_every=10, learning_rate=0.05
)


class ToyInputs:
    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs
        self.lengths: IntArray = pairs.item_ids

    def __len__(self) -> int:
        return len(self.pairs)

    def batch(self, rows: IntArray) -> Batch:
        return {"items": torch.from_numpy(self.pairs.item_ids[rows])}


class Toy(PointwiseRecommender):
    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.Linear(1, 1).requires_grad_(False)
        self.items = nn.Embedding(20, 8)
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(8, 1))

    def inputs(self, pairs: Pairs, new_titles: Sequence[str] = ()) -> ToyInputs:
        return ToyInputs(pairs)

    def logits(self, **batch: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.items(batch["items"])).squeeze(1)
        return logits

    def save(self, folder: Path) -> None:
        save_file({n: p for n, p in self.named_parameters() if p.requires_grad}, folder / "w")

    def load(self, folder: Path) -> None:
        self.load_state_dict(load_file(folder / "w"), strict=False)


def world() -> tuple[Pairs, IntArray]:
    items = np.random.default_rng(0).integers(1, 20, 200)
    pairs = Pairs(np.ones(200, np.int64), items, Histories.from_lists([[]] * 200))
    return pairs, (items % 2).astype(np.int64)


def make_trainer(folder: Path, config: TrainConfig = CONFIG) -> RecommenderTrainer:
    torch.manual_seed(0)
    pairs, labels = world()
    toy = Toy()

    def validate() -> dict[str, float]:
        scores = Scorer(toy).score(pairs)
        return {"auc": float(scores[labels == 1].mean() - scores[labels == 0].mean())}

    log = MetricsLog(folder, lambda record: None)
    return RecommenderTrainer(
        toy,
        LabelledExamples(toy.inputs(pairs), labels),
        validate,
        config,
        folder,
        seed=3,
        callbacks=[log],
    )


def train(folder: Path, config: TrainConfig = CONFIG) -> dict[str, torch.Tensor]:
    folder.mkdir(exist_ok=True)
    trainer = make_trainer(folder, config)
    trainer.train_or_resume()
    return {name: value.clone() for name, value in trainer.model.state_dict().items()}


def die_in(method: str, step: int) -> Callable[[Path], None]:
    """Return a training that is killed when it enters `method` at or after `step`."""

    def run(folder: Path) -> None:
        trainer = make_trainer(folder)
        original = getattr(trainer, method)

        def killed(*args: Any, **kwargs: Any) -> Any:
            if trainer.state.global_step >= step:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **kwargs)

        setattr(trainer, method, killed)
        trainer.train_or_resume()

    return run


def in_another_process(run: Callable[[Path], None], folder: Path) -> int | None:
    process = multiprocessing.get_context("fork").Process(target=run, args=(folder,))
    process.start()
    process.join()
    return process.exitcode


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_it_learns_saves_only_what_it_trains_and_keeps_the_best(tmp_path: Path) -> None:
    before = make_trainer(tmp_path / "fresh").model.state_dict()
    weights = train(tmp_path)
    records = read_metrics(tmp_path)
    losses = [record["train_loss"] for record in records if "train_loss" in record]
    assert losses[-1] < losses[0]
    best = load_file(tmp_path / BEST / "w")
    assert sorted(best) == ["head.1.bias", "head.1.weight", "items.weight"]
    moved = [name for name in weights if not torch.equal(weights[name], before[name])]
    assert sorted(moved) == sorted(best)
    values = {record["step"]: record["valid_auc"] for record in records if "valid_auc" in record}
    kept = make_trainer(tmp_path / "kept")
    kept.model.load(tmp_path / BEST)
    kept.model.eval()
    assert kept.validate()["auc"] == pytest.approx(max(values.values()), abs=1e-5)
    names = sorted(p.name for p in (tmp_path / CHECKPOINTS).glob("checkpoint-*"))
    assert names == ["checkpoint-30", "checkpoint-40"]


@pytest.mark.parametrize(
    ("method", "step"),
    [
        ("training_step", 13),  # in a step
        pytest.param("_save", 20, marks=pytest.mark.slow),  # before the first file of a checkpoint
        ("_save_rng_state", 20),  # between the files of a checkpoint
        ("_determine_best_metric", 30),  # after validation, before the best is kept
    ],
)
def test_a_killed_and_resumed_run_ends_with_the_same_weights(
    tmp_path: Path, method: str, step: int
) -> None:
    straight = train(tmp_path / "straight")
    folder = tmp_path / "killed"
    folder.mkdir()
    assert in_another_process(die_in(method, step), folder) == -signal.SIGKILL
    checkpoint = last_checkpoint(folder)
    assert checkpoint is not None
    assert checkpoint.name == f"checkpoint-{(step - 1) // 10 * 10}"
    state = json.loads((checkpoint / "trainer_state.json").read_text())
    assert state["best_model_checkpoint"] is None  # it would be missed at every resume
    resumed = train(folder)
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)
    best = [load_file(run / BEST / "w") for run in (tmp_path / "straight", folder)]
    assert all(torch.equal(best[0][name], best[1][name]) for name in best[0])
    without_time = [
        [{k: v for k, v in record.items() if k != "seconds"} for record in read_metrics(run)]
        for run in (tmp_path / "straight", folder)
    ]
    assert without_time[0] == without_time[1]


AVERAGED = CONFIG.model_copy(update={"average": 0.9})


def test_the_mean_of_the_weights_is_what_is_validated_and_kept(tmp_path: Path) -> None:
    plain, folder = train(tmp_path / "plain"), tmp_path / "mean"
    folder.mkdir()
    trainer = make_trainer(folder, AVERAGED)
    seen: list[torch.Tensor] = []
    validate = trainer.validate

    def watched() -> dict[str, float]:
        seen.append(trainer.model.items.weight.detach().clone())
        return {"auc": validate()["auc"] + len(seen)}  # so that the last one is the best

    trainer.validate = watched
    trainer.train_or_resume()
    own = trainer.model.state_dict()
    assert all(torch.equal(plain[name], own[name]) for name in plain)  # the course is the same
    best = load_file(folder / BEST / "w")
    assert torch.equal(best["items.weight"], seen[-1])
    assert not torch.equal(best["items.weight"], own["items.weight"])


def test_a_killed_and_resumed_run_goes_on_with_its_mean(tmp_path: Path) -> None:
    folders = tmp_path / "straight", tmp_path / "stopped"
    train(folders[0], AVERAGED)
    folders[1].mkdir()
    trainer = make_trainer(folders[1], AVERAGED)
    training_step, done = trainer.training_step, []

    def stops(*args: Any, **kwargs: Any) -> Any:
        done.append(1)
        if len(done) > 2 * 25:
            raise KeyboardInterrupt
        return training_step(*args, **kwargs)

    trainer.training_step = stops  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        trainer.train_or_resume()
    train(folders[1], AVERAGED)
    straight, resumed = (last_checkpoint(folder) for folder in folders)
    assert straight is not None
    assert resumed is not None
    for name in ("average.safetensors", "w"):
        one, other = load_file(straight / name), load_file(resumed / name)
        assert all(torch.equal(one[key], other[key]) for key in one)
    (resumed / "average.safetensors").write_bytes(b"")
    with pytest.raises(ArtifactError, match="cannot go on exactly"):
        train(folders[1], AVERAGED.model_copy(update={"steps": 50}))


def test_a_finished_run_is_left_alone(tmp_path: Path) -> None:
    train(tmp_path)
    before = (tmp_path / "metrics.jsonl").read_text()
    train(tmp_path)
    assert (tmp_path / "metrics.jsonl").read_text() == before


def test_a_run_that_lost_its_best_weights_says_so(tmp_path: Path) -> None:
    train(tmp_path)
    shutil.rmtree(tmp_path / BEST)
    with pytest.raises(ArtifactError, match="is gone, and with it the best weights"):
        train(tmp_path)
    (tmp_path / BEST).write_text("junk")
    with pytest.raises(ArtifactError, match="is gone, and with it the best weights"):
        train(tmp_path)


def test_what_a_killed_writer_left_is_gone_even_from_a_finished_run(tmp_path: Path) -> None:
    train(tmp_path)
    for folder in (tmp_path, tmp_path / CHECKPOINTS):
        with temporary_folder(folder) as temporary:
            left = temporary.name
        (folder / left).mkdir()
    train(tmp_path)
    assert not list(tmp_path.rglob("*.tmp"))


def test_notes_of_the_user_inside_a_run_are_kept(tmp_path: Path) -> None:
    mine = [tmp_path / BEST, tmp_path / CHECKPOINTS / "checkpoint-mine"]
    for folder in mine:
        folder.mkdir(parents=True)
        (folder / "notes.txt").write_text("mine")
    train(tmp_path)
    assert (tmp_path / f"{BEST}.kept-1" / "notes.txt").read_text() == "mine"
    assert (mine[1] / "notes.txt").read_text() == "mine"
    assert sorted(p.name for p in (tmp_path / BEST).iterdir()) == [MARKER, "w"]


def test_a_checkpoint_too_many_goes_even_from_a_finished_run(tmp_path: Path) -> None:
    train(tmp_path)
    checkpoints = tmp_path / CHECKPOINTS
    # As it is where a run is killed before it removes the oldest.
    shutil.copytree(checkpoints / "checkpoint-30", checkpoints / "checkpoint-20")
    train(tmp_path)
    assert sorted(p.name for p in checkpoints.iterdir()) == ["checkpoint-30", "checkpoint-40"]


def test_it_stops_when_validation_no_longer_improves(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, CONFIG.model_copy(update={"steps": 400, "patience": 2}))
    trainer.validate = lambda: {"auc": 0.5}
    trainer.train_or_resume()
    assert trainer.state.global_step == 30  # first validation at 10 is the best, then two more
    assert json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])["step"] == 30


def test_a_loss_that_is_not_finite_stops_the_run_and_says_where(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path)
    with torch.no_grad():
        trainer.model.items.weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match="loss became nan at step 1"):
        trainer.train_or_resume()


def test_a_gradient_that_is_not_finite_stops_the_run_though_the_loss_is(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path)
    trainer.model.items.weight.register_hook(lambda gradient: gradient * float("nan"))
    before = trainer.model.items.weight.clone()
    with pytest.raises(TrainingError, match="norm of the gradient became nan at step 1"):
        trainer.train_or_resume()
    assert torch.equal(trainer.model.items.weight, before)

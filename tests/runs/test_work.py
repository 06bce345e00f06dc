"""Scoring by several processes: the bits of one, and what a stopped one had done."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from corarec.benchmark.ranking import rank_run
from corarec.benchmark.runs import evaluate_run
from corarec.errors import ArtifactError
from corarec.evaluate import BootstrapConfig
from corarec.runs import Run, load_run
from corarec.runs.work import RunPlace, SplitWork
from corarec.score import pieces
from corarec.score import table as score_table
from corarec.workers import crews
from corarec.workers.crews import Hands
from corarec.workers.jobs import read, written
from corarec.workers.pieces import OpenWork, Work, packed

ROWS = 700
TWO = Hands(workers=2)


@pytest.fixture(scope="module")
def run(trained_run: Path) -> Run:
    return load_run(trained_run)


@pytest.fixture
def pairs(run: Run, tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    users, items = (run.knowledge.users.raw_ids, run.knowledge.catalogue.vocabulary.raw_ids)
    table = {"user": random.choice(users, ROWS), "item": random.choice(items, ROWS)}
    pl.DataFrame({**table, "n": range(ROWS)}).write_csv(tmp_path / "in.csv")
    return tmp_path / "in.csv"


def test_two_processes_give_the_bits_of_one_and_go_on_where_they_were_stopped(
    run: Run, trained_run: Path, pairs: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(score_table, "CHUNK_ROWS", 600)  # two pieces and one
    one, two = tmp_path / "one.parquet", tmp_path / "two.parquet"
    run.score_file(pairs, one)
    whole = run.score(pl.read_csv(pairs, infer_schema=False))["score"]
    np.testing.assert_allclose(pl.read_parquet(one)["score"], whole, atol=1e-5)

    bare = load_run(trained_run, system=False)
    heard: list[int] = []

    def stop(count: int) -> None:
        heard.append(count)
        if sum(heard) > 512:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.score_file(pairs, two, progress=stop)
    kept = sorted((tmp_path / "two.parquet.parts").glob("0*"))
    assert kept, "a piece was done"
    heard.clear()
    assert bare.score_file(pairs, two, hands=TWO, progress=heard.append) == ROWS
    assert sum(heard) == ROWS
    assert one.read_bytes() == two.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", "one.parquet", "two.parquet"}


class Scrambled:
    """A crew in this process, whose places answer in any order and sometimes die."""

    def __init__(self, work: Work, count: int, logs: Path, devices: Any) -> None:
        self.count = count
        self._text = written(work)
        self._open: dict[int, OpenWork] = {}
        self._asked: dict[int, int | None] = {}
        self._random = np.random.default_rng(0)
        self.died = 0

    def start(self, place: int) -> None:
        self._open[place] = read(self._text).open()
        self._asked[place] = None

    def ask(self, place: int, number: int) -> None:
        self._asked[place] = number

    def hear(self) -> tuple[int, dict[str, Any]]:
        place = int(self._random.choice(list(self._asked)))
        number = self._asked.pop(place)
        if number is None:
            return place, {"ready": True}
        values = self._open[place].piece(number, lambda count: None)
        if not self.died:
            self.died += 1
            return place, {"died": "killed"}
        return place, {"piece": number, **packed(values)}

    def close(self) -> None:
        assert self.died == 1


def test_several_workers_measure_as_one_does(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(trained_run, tmp_path / "run")
    trained_run = tmp_path / "run"
    run = load_run(trained_run)
    monkeypatch.setattr(crews, "LocalCrew", Scrambled)
    config = BootstrapConfig(draws=20)
    folder = trained_run / "results"
    bare = load_run(trained_run, system=False)
    evaluate_run(run, "train", config=config)
    rank_run(run, "valid", candidates=5, bootstrap=config)
    names = ("train.json", "train.parquet", "valid-ranking.json")
    one = [(folder / name).read_bytes() for name in names]
    for name in names:
        (folder / name).unlink()
    evaluate_run(bare, "train", config=config, hands=TWO)
    rank_run(bare, "valid", candidates=5, bootstrap=config, hands=TWO)
    assert [(folder / name).read_bytes() for name in names] == one
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)


def test_a_run_that_changed_meanwhile_is_not_mixed(run: Run) -> None:
    other = run.place.model_copy(update={"identity": "another"})
    with pytest.raises(ArtifactError, match="was changed while it was scored"):
        other.open()


@pytest.mark.parametrize(("rows", "counts"), [(0, []), (1, [1]), (513, [2]), (2049, [2, 2, 1])])
def test_pieces_cover_every_pair_once(rows: int, counts: list[int]) -> None:
    place = RunPlace(folder=Path("run"), data=None, identity="")
    work = SplitWork(run=place, rows=rows, split="test", chunk_pairs=1024)
    assert [len(work.pieces(chunk)) for chunk in range(work.chunks)] == counts
    numbers = [number for chunk in range(work.chunks) for number in work.pieces(chunk)]
    assert numbers == [*range(work.count)]
    assert sum(work.size(number) for number in numbers) == rows
    assert all(work.size(number) <= pieces.PIECE_BATCHES * work.batch_pairs for number in numbers)


def test_any_number_of_threads_measures_as_one_does(trained_run: Path, tmp_path: Path) -> None:
    run = load_run(shutil.copytree(trained_run, tmp_path / "run"))
    config, folder = BootstrapConfig(draws=20), tmp_path / "run" / "results"
    names = ("train.parquet", "valid-ranking.json")
    before, found = torch.get_num_threads(), []
    for threads in (1, 4):
        torch.set_num_threads(threads)
        try:
            evaluate_run(run, "train", config=config)
            rank_run(run, "valid", candidates=9, bootstrap=config)
        finally:
            torch.set_num_threads(before)
        found.append([(folder / name).read_bytes() for name in names])
    assert found[0] == found[1]

"""Pieces of a work, done here and by processes that end at the wrong moment."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corarec.errors import CorarecError, TrainingError
from corarec.workers.crews import LocalCrew
from corarec.workers.parts import Parts
from corarec.workers.pieces import MOST_DEATHS, Work, do_pieces, packed, unpacked

Toy = Callable[..., Any]
SIZE = 10


def parts_of(folder: Path) -> Parts:
    return Parts.claim(folder / "out.parts", {"of": "toy"})


def do(work: Work, parts: Parts, workers: int) -> tuple[list[int], int]:
    """Return the pieces in the order in which they were done, and what progress heard of."""
    heard: list[int] = []
    crew = work.open() if workers == 1 else lambda: LocalCrew(work, workers, parts.folder)
    return list(do_pieces(work, parts, crew, heard.append)), sum(heard)


def asked(folder: Path) -> Counter[int]:
    return Counter(map(int, (folder / "signs" / "done").read_text().split()))


def check(parts: Parts, count: int = 6) -> None:
    for number in range(count):
        expected = np.array([[number, number**2], [0.1, number / 3]])
        assert parts.read(number).tobytes() == expected.tobytes()


@pytest.mark.parametrize("workers", [1, 3])
def test_every_piece_is_done_once_however_many_do_it(
    toy: Toy, tmp_path: Path, workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    parts = parts_of(tmp_path)
    done, heard = do(toy(), parts, workers)
    assert sorted(done) == [*range(6)]
    assert heard == 6 * (SIZE if workers > 1 else 4)
    assert asked(tmp_path) == Counter(range(6))
    assert [record.getMessage() for record in caplog.records] == ["opened"], "told once"
    check(parts)
    assert do(toy(), parts, workers)[0] == [*range(6)]
    assert asked(tmp_path) == Counter(range(6)), "nothing is done twice"


def test_a_killed_worker_costs_its_piece_only(toy: Toy, tmp_path: Path) -> None:
    for number in (0, 4):
        (tmp_path / "signs" / f"die-once-{number}").touch()
    parts = parts_of(tmp_path)
    done, heard = do(toy(), parts, 2)
    assert sorted(done) == [*range(6)]
    assert heard == 6 * SIZE
    assert asked(tmp_path) == Counter(range(6)) + Counter([0, 4])
    check(parts)


def test_a_piece_that_kills_every_worker_ends_the_work_and_the_others_are_kept(
    toy: Toy, tmp_path: Path
) -> None:
    (tmp_path / "signs" / "die-1").touch()
    parts = parts_of(tmp_path)
    with pytest.raises(CorarecError, match=r"Part 1 of 6 ended 5 processes.*signal 9 \(out of mem"):
        do(toy(), parts, 2)
    assert asked(tmp_path)[1] == MOST_DEATHS
    kept = parts.done()
    assert 1 not in kept
    assert len(kept) >= 3
    (tmp_path / "signs" / "die-1").unlink()
    do(toy(), parts_of(tmp_path), 2)
    assert all(asked(tmp_path)[number] == 1 for number in kept)
    check(parts)


def test_an_error_of_a_piece_is_that_of_the_work(toy: Toy, tmp_path: Path) -> None:
    (tmp_path / "signs" / "fail-0").touch()
    for workers in (1, 2):
        with pytest.raises(TrainingError, match="piece 0 is no good"):
            do(toy(), parts_of(tmp_path), workers)


def test_workers_that_never_open_the_work_end_it(toy: Toy, tmp_path: Path) -> None:
    (tmp_path / "signs" / "no-start").touch()
    with pytest.raises(
        CorarecError, match=r"5 processes ended .* before they were ready.*status 7"
    ):
        do(toy(), parts_of(tmp_path), 2)


def test_a_stopped_work_ends_its_processes(toy: Toy, tmp_path: Path) -> None:
    (tmp_path / "signs" / "slow-3").touch()
    parts, work = parts_of(tmp_path), toy()
    crews: list[LocalCrew] = []

    def crew() -> LocalCrew:
        crews.append(LocalCrew(work, 2, parts.folder))
        return crews[0]

    pieces = do_pieces(work, parts, crew, lambda count: None)
    next(pieces)
    pieces.close()
    for process in crews[0]._processes.values():
        assert process._process.poll() is not None


@pytest.mark.parametrize("shape", [(0,), (2, 0), (3, 2)])
def test_an_array_goes_through_json_to_the_bit(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).normal(size=shape) * 1e-300
    back = unpacked(packed(values))
    assert back.shape == shape
    assert back.tobytes() == values.tobytes()

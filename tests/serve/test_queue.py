"""The scoring thread with a system whose score is the item's id, and that fails at will."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest
import torch

from corarec.errors import TrainingError
from corarec.score.batches import Batch
from corarec.score.context import Context
from corarec.score.scorer import Scorer
from corarec.serve import queue as queue_room
from corarec.serve.jobs import MANY, Ask, Call, Work
from corarec.serve.metrics import Metrics
from corarec.serve.passes import SLICE
from corarec.serve.problems import Problem
from corarec.serve.queue import ScoringQueue
from corarec.types import Histories, IntArray, Pairs

BAD, INFINITE, SLOW = 666, 777, 888


class Inputs:
    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs
        self.lengths = 10 + pairs.item_ids % 7

    def __len__(self) -> int:
        return len(self.pairs)

    def batch(self, rows: IntArray) -> Batch:
        return {"items": torch.from_numpy(self.pairs.item_ids[rows])}


class ItemIsScore:
    """Its gate is shut where a test wants requests to wait."""

    training = False
    device = torch.device("cpu")

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.batches: list[list[int]] = []

    def inputs(self, pairs: Pairs, new_titles: Sequence[str] = ()) -> Inputs:
        assert pairs.item_ids.max(initial=0) <= 1000 + len(new_titles)
        return Inputs(pairs)

    def logits(self, **batch: torch.Tensor) -> torch.Tensor:
        self.gate.wait(20)
        items = batch["items"].tolist()
        self.batches.append(items)
        if BAD in items:
            raise ValueError("the model fails")
        if SLOW in items:
            time.sleep(0.5)
        return torch.tensor([float("inf") if item == INFINITE else float(item) for item in items])


class Live:
    first_free = 1002

    def __init__(self) -> None:
        self.system = ItemIsScore()
        self.scorer = Scorer(self.system)
        self.new_titles = ["an added one"]

    def join(self, parts: Sequence[tuple[Context, IntArray]]) -> Pairs:
        items = np.concatenate([items for _, items in parts])
        none = Histories.from_lists([[]] * len(items))
        return Pairs(np.zeros(len(items), np.int64), items, none)


NOBODY = Context(0, np.zeros(0, np.int64))


def asks(*items: int, titles: Sequence[str] = ()) -> Callable[[], Work]:
    """Return a request for items of as many people."""

    def work() -> Work:
        scores = yield Ask([(NOBODY, np.array([item])) for item in items], titles)
        return scores.tolist()

    return work


def ranks(*items: int) -> Callable[[], Work]:
    """Return a request for many items of one person."""

    def work() -> Work:
        scores = yield Ask([(NOBODY, np.array(items))])
        return scores.tolist()

    return work


@pytest.fixture
def live() -> Live:
    return Live()


Queue = Callable[..., ScoringQueue]


@pytest.fixture
def queue(live: Live) -> Iterator[Queue]:
    made: list[ScoringQueue] = []

    def make(**limits: Any) -> ScoringQueue:
        chosen = {"batch_tokens": 160, "queue_requests": 50, "queue_pairs": 5_000}
        queue = ScoringQueue(live, Metrics(), stall_seconds=0.2, **(chosen | limits))
        queue.start()
        made.append(queue)
        return queue

    yield make
    live.system.gate.set()
    for each in made:
        each.stop()


def soon(seconds: float = 20) -> float:
    return time.monotonic() + seconds


def submit(queue: ScoringQueue, *items: int, seconds: float = 20) -> Future[Any]:
    return queue.submit(asks(*items), len(items), soon(seconds))


def test_requests_that_wait_together_are_scored_together(queue: Queue, live: Live) -> None:
    q = queue(batch_tokens=2_000)
    live.system.gate.clear()
    first = submit(q, 1)
    time.sleep(0.05)  # the thread is in its step with the first
    rest = [submit(q, 10 + n, 20 + n) for n in range(4)]
    live.system.gate.set()
    assert first.result(5) == [1.0]
    assert [future.result(5) for future in rest] == [[10.0 + n, 20.0 + n] for n in range(4)]
    assert live.system.batches[0] == [1]
    assert sorted(live.system.batches[1]) == sorted([*range(10, 14), *range(20, 24)])


def test_no_batch_is_larger_than_the_budget(queue: Queue, live: Live) -> None:
    q = queue(batch_tokens=50)
    items = list(range(1, 60))
    assert submit(q, *items).result(5) == [float(item) for item in items]
    assert len(live.system.batches) >= 12
    for batch in live.system.batches:
        assert len(batch) * max(10 + item % 7 for item in batch) <= 50 or len(batch) == 1


def test_a_pair_longer_than_the_budget_is_scored_alone(queue: Queue, live: Live) -> None:
    q = queue(batch_tokens=1)
    assert submit(q, 3, 5).result(5) == [3.0, 5.0]
    assert [len(batch) for batch in live.system.batches] == [1, 1]


def test_a_small_request_does_not_wait_for_a_large_one(queue: Queue, live: Live) -> None:
    q = queue(batch_tokens=160)
    live.system.gate.clear()
    large = submit(q, *range(1, 600))
    time.sleep(0.05)
    small = submit(q, 999)
    live.system.gate.set()
    small.result(5)
    assert not large.done()
    assert large.result(10)[-1] == 599.0


def test_many_items_of_one_person_are_scored_in_slices(queue: Queue, live: Live) -> None:
    q = queue()
    items = list(range(1, 3 * SLICE))
    assert q.submit(ranks(*items), len(items), soon()).result(5) == [float(i) for i in items]
    assert sum(map(len, live.system.batches)) == len(items)
    few = list(range(1, MANY))
    assert q.submit(ranks(*few), len(few), soon()).result(5) == [float(i) for i in few]


def test_titles_of_a_request_are_its_own(queue: Queue, live: Live) -> None:
    q = queue(batch_tokens=2_000)
    live.system.gate.clear()
    blocking = submit(q, 1)
    time.sleep(0.05)
    first = q.submit(asks(-1, 5, -2, titles=["a", "b"]), 3, soon())
    second = q.submit(asks(-1, titles=["c"]), 1, soon())
    live.system.gate.set()
    blocking.result(5)
    # 1,000 items and one that was added; the fake's score is the number.
    assert first.result(5) == [1002.0, 5.0, 1003.0]
    assert second.result(5) == [1004.0]


def test_a_request_that_makes_the_model_fail_fails_alone(queue: Queue, live: Live) -> None:
    q = queue()
    live.system.gate.clear()
    blocking = submit(q, 1)
    time.sleep(0.05)
    good, bad, infinite, other = (submit(q, item) for item in (2, BAD, INFINITE, 3))
    live.system.gate.set()
    blocking.result(5)
    assert good.result(5) == [2.0]
    assert other.result(5) == [3.0]
    with pytest.raises(ValueError, match="the model fails"):
        bad.result(5)
    with pytest.raises(TrainingError, match="finite"):
        infinite.result(5)
    with pytest.raises(ValueError, match="the model fails"):
        q.submit(ranks(*range(1, 20), BAD), 20, soon()).result(5)
    assert submit(q, 4).result(5) == [4.0]
    assert q.sizes() == (0, 0)


def test_work_that_fails_before_or_between_fails_alone(queue: Queue) -> None:
    q = queue()

    def breaks() -> Work:
        yield Ask([(NOBODY, np.array([1]))])
        raise KeyError("later")

    def at_once() -> Work:
        raise KeyError("at once")

    def calls() -> Work:
        return (yield Call(lambda: [][1]))

    for work in (breaks, at_once, calls):
        with pytest.raises(LookupError):
            q.submit(work, 1, soon()).result(5)
    assert submit(q, 4).result(5) == [4.0]
    assert q.trouble() is None


def test_calls_run_in_the_scoring_thread_in_their_turn(queue: Queue) -> None:
    q = queue()

    def work() -> Work:
        name = yield Call(lambda: threading.current_thread().name)
        none = yield Ask([])
        return name, len(none)

    assert q.submit(work, 1, soon()).result(5) == ("scoring", 0)


def test_what_is_told_first_is_known_to_what_is_asked_later(queue: Queue, live: Live) -> None:
    q = queue()
    live.system.gate.clear()
    blocking = submit(q, 1)
    told: list[int] = []

    def tell() -> bool:
        told.append(1)
        return False

    control = q.control(tell)

    def work() -> Work:
        yield Call(lambda: None)
        return list(told)

    asked = q.submit(work, 1, soon())
    live.system.gate.set()
    blocking.result(5)
    control.result(5)
    assert asked.result(5) == [1]


def test_work_begins_anew_where_what_it_knows_is_void(queue: Queue, live: Live) -> None:
    q = queue(batch_tokens=20)
    began: list[int] = []

    def work() -> Work:
        began.append(1)
        scores = yield Ask([(NOBODY, np.array([item])) for item in (SLOW, 2, 3)])
        return scores.tolist()

    future = q.submit(work, 3, soon())
    while not began:
        time.sleep(0.01)
    q.control(lambda: True).result(5)
    assert future.result(5) == [float(SLOW), 2.0, 3.0]
    assert len(began) == 2


def test_work_that_begins_anew_again_and_again_ends_with_a_problem(
    queue: Queue, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_room, "BEGINNINGS", 3)
    q = queue(batch_tokens=20)
    began: list[int] = []

    def work() -> Work:
        began.append(1)
        q.control(lambda: True)
        yield Ask([(NOBODY, np.array([item])) for item in (1, 2, 3, 4)])

    with pytest.raises(Problem, match="begun 3 times") as problem:
        q.submit(work, 3, soon()).result(5)
    assert problem.value.status == 503
    assert len(began) == 3
    assert submit(q, 4).result(5) == [4.0]


def test_beyond_the_queue_requests_are_refused_and_recovery_is_at_once(
    queue: Queue, live: Live
) -> None:
    q = queue(queue_requests=3, queue_pairs=10)
    live.system.gate.clear()
    waiting = [submit(q, 1) for _ in range(3)]
    with pytest.raises(Problem) as problem:
        submit(q, 1)
    assert problem.value.status == 429
    assert int(problem.value.headers()["Retry-After"]) >= 1
    live.system.gate.set()
    for future in waiting:
        future.result(5)
    assert submit(q, 1).result(5) == [1.0]
    live.system.gate.clear()
    waiting = [submit(q, *range(1, 9))]
    with pytest.raises(Problem, match="8 pairs are waiting"):
        submit(q, 1, 2, 3)
    live.system.gate.set()
    waiting[0].result(5)


def test_a_request_larger_than_the_queue_is_scored_when_nobody_waits(queue: Queue) -> None:
    assert len(submit(queue(queue_pairs=2), 1, 2, 3).result(5)) == 3


def test_a_client_that_goes_away_frees_its_place_and_its_work_is_dropped(
    queue: Queue, live: Live
) -> None:
    q = queue(queue_requests=2)
    live.system.gate.clear()
    blocking = submit(q, 1)
    time.sleep(0.05)
    gone = submit(q, 444)
    gone.cancel()
    assert q.sizes() == (1, 1)
    live.system.gate.set()
    assert submit(q, 2).result(5) == [2.0]
    blocking.result(5)
    assert all(444 not in batch for batch in live.system.batches)


def test_the_rest_of_a_large_request_is_dropped_when_its_client_goes(
    queue: Queue, live: Live
) -> None:
    q = queue(batch_tokens=20)
    large = submit(q, SLOW, *range(1, 300))
    time.sleep(0.2)
    large.cancel()
    assert submit(q, 999).result(5) == [999.0]
    assert sum(map(len, live.system.batches)) < 250


def test_a_request_whose_deadline_has_passed_is_dropped(queue: Queue, live: Live) -> None:
    q = queue()
    live.system.gate.clear()
    blocking = submit(q, 1)
    time.sleep(0.05)
    late = submit(q, 444, seconds=0.05)
    time.sleep(0.1)
    live.system.gate.set()
    blocking.result(5)
    with pytest.raises(Problem) as problem:
        late.result(5)
    assert problem.value.status == 504
    assert all(444 not in batch for batch in live.system.batches)


def test_a_step_that_hangs_is_told_and_one_that_ends_is_forgotten(queue: Queue, live: Live) -> None:
    q = queue()
    assert q.trouble() is None
    live.system.gate.clear()
    hanging = submit(q, 1)
    time.sleep(0.4)
    assert "in one step for" in (q.trouble() or "")
    live.system.gate.set()
    hanging.result(5)
    submit(q, 1).result(5)
    time.sleep(0.05)
    assert q.trouble() is None


def test_stopping_answers_what_waits(queue: Queue, live: Live) -> None:
    q = queue()
    live.system.gate.clear()
    blocking, waiting = submit(q, 1), submit(q, 2)
    threading.Timer(0.1, live.system.gate.set).start()
    q.stop()
    assert blocking.done()
    with pytest.raises(Problem) as problem:
        waiting.result(5)
    assert problem.value.status == 503
    assert "ended" in (q.trouble() or "")
    with pytest.raises(Problem):
        submit(q, 3)

import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch

from corarec.workers.lanes import MOST_LANES, side_by_side


@pytest.fixture(autouse=True)
def four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def test_each_task_has_one_thread_of_torch_and_they_run_together() -> None:
    meeting = threading.Barrier(4, timeout=20)  # none goes on before all four are there

    def task(number: int) -> tuple[int, int, str]:
        meeting.wait()
        return number, torch.get_num_threads(), threading.current_thread().name

    found = side_by_side([partial(task, number) for number in range(4)])
    assert [number for number, _, _ in found] == [0, 1, 2, 3]
    assert {threads for _, threads, _ in found} == {1}
    assert len({name for _, _, name in found}) == 4
    assert torch.get_num_threads() == 4


def test_one_task_or_one_thread_stays_here_with_one_thread_of_torch() -> None:
    assert side_by_side([torch.get_num_threads]) == [1]
    assert side_by_side([threading.current_thread]) == [threading.current_thread()]
    torch.set_num_threads(1)
    assert side_by_side([threading.current_thread] * 3) == [threading.current_thread()] * 3
    assert side_by_side([]) == []


def test_no_more_lanes_than_may_be() -> None:
    torch.set_num_threads(64)
    names = side_by_side([lambda: threading.current_thread().name] * 500)
    assert 1 <= len(set(names)) <= MOST_LANES


def test_an_error_of_a_task_is_raised_and_the_threads_are_given_back() -> None:
    done: list[int] = []

    def fail() -> None:
        raise ValueError("this one")

    tasks: list[Callable[[], None]] = [fail, *(partial(done.append, n) for n in range(50))]
    with pytest.raises(ValueError, match="this one"):
        side_by_side(tasks)
    assert torch.get_num_threads() == 4
    assert side_by_side([torch.get_num_threads] * 2) == [1, 1]

"""Threads of one process, side by side, each of which multiplies matrices alone.

Libraries that multiply matrices may sum in another order with another number of threads. Who gives
each of several tasks one thread has the same bits however many do them.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

import torch

Result = TypeVar("Result")

MOST_LANES = 8
"""Each holds the activations of a forward pass; who has more cores than that takes processes."""
_ONE_AT_A_TIME = Lock()


def side_by_side(tasks: Sequence[Callable[[], Result]]) -> list[Result]:
    """Do tasks on as many threads as torch may use, and return what they give, in their order.

    Within each task torch has one thread, so that what it gives does not depend on how many there
    are. Not to be called by a task; who calls while another thread does waits.
    """
    with _ONE_AT_A_TIME:
        threads = torch.get_num_threads()
        # Of this thread, and for MKL of the process: the other threads set their own.
        torch.set_num_threads(1)
        try:
            lanes = min(threads, len(tasks), MOST_LANES)
            if lanes <= 1:
                return [task() for task in tasks]
            pool = ThreadPoolExecutor(lanes, "lane", torch.set_num_threads, (1,))
            try:
                return [each.result() for each in [pool.submit(task) for task in tasks]]
            finally:
                pool.shutdown(cancel_futures=True)
        finally:
            torch.set_num_threads(threads)

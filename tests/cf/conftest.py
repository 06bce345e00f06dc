"""The toy world of the conformance tests, and a random log in which all can be counted by hand."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from corarec.cf.counting.rows import Asked, KnownRows
from corarec.cf.data import FitData
from corarec.testing import cf_world
from corarec.testing.cf_world import Rows
from corarec.types import Histories, IntArray, Log, Pairs

PairsOf = Callable[..., Pairs]
NUM_USERS, NUM_ITEMS, ROWS = 6, 9, 120


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Repeatable to the bit, and quicker on models this small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def pairs_of() -> PairsOf:
    """Build pairs from lists: user ids, item ids, histories, own labels."""
    return cf_world.pairs_of


@pytest.fixture(scope="session")
def all_pairs() -> Callable[[Rows], Pairs]:
    """Build pairs of rows ordered by user, then time; every row sees its user's likes before it."""
    return cf_world.all_pairs


@pytest.fixture(scope="session")
def world_rows() -> Rows:
    """Return the rows of the toy world."""
    return cf_world.world_rows()


@pytest.fixture(scope="session")
def checkerboard() -> FitData:
    """Return the training and validation rows of the toy world."""
    return cf_world.checkerboard()


@pytest.fixture(scope="session")
def held_out() -> tuple[Pairs, IntArray]:
    """Return the test rows of the toy world and their labels."""
    return cf_world.held_out()


@pytest.fixture(scope="session")
def log() -> Log:
    random = np.random.default_rng(4)
    return Log(
        user_ids=random.integers(1, NUM_USERS, ROWS),
        item_ids=random.integers(1, NUM_ITEMS, ROWS),
        labels=random.integers(0, 2, ROWS),
        times=random.integers(0, 40, ROWS),
        stars=random.integers(1, 6, ROWS).astype(np.float64),
    )


@pytest.fixture(scope="session")
def rows(log: Log) -> KnownRows:
    return KnownRows(log, NUM_USERS, NUM_ITEMS)


@pytest.fixture(scope="session")
def asked() -> Asked:
    """Pairs of all kinds: unknown halves, the first and the last moment, no history."""
    random = np.random.default_rng(5)
    count = 60
    histories = [
        random.integers(1, NUM_ITEMS, random.integers(0, 5)).tolist() for _ in range(count)
    ]
    until: IntArray = random.integers(0, 41, count)
    until[:2] = 0, np.iinfo(np.int64).max
    return Asked(
        users=random.integers(0, NUM_USERS + 1, count),
        items=random.integers(0, NUM_ITEMS + 1, count),
        until=until,
        histories=Histories.from_lists(histories),
    )

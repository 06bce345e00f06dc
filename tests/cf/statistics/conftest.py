"""A small random log, in which everything can be counted by hand."""

import numpy as np
import pytest

from corarec.cf.statistics.rows import Asked, KnownRows
from corarec.types import Histories, IntArray, Log

NUM_USERS, NUM_ITEMS, ROWS = 6, 9, 120


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

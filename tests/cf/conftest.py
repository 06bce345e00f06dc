"""The toy world of the conformance tests, as fixtures."""

from collections.abc import Callable, Iterator

import pytest
import torch

from corarec.cf.data import FitData
from corarec.testing import cf_world
from corarec.testing.cf_world import Rows
from corarec.types import IntArray, Pairs

PairsOf = Callable[..., Pairs]


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

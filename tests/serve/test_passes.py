"""How requests share a forward pass."""

import time
from typing import Any

import numpy as np

from corarec.serve.jobs import Job
from corarec.serve.metrics import Metrics
from corarec.serve.passes import FIRST_TOKENS, Passes


def wants(count: int) -> Job:
    job = Job(lambda: iter(()), count, time.monotonic() + 9)  # type: ignore[arg-type, return-value]
    job.scores = np.empty(count)
    return job


def test_a_pass_is_shared_out_evenly_and_what_is_left_goes_to_the_first() -> None:
    live: Any = None
    passes = Passes(live, Metrics(), int(10 * FIRST_TOKENS))
    small, large, other = wants(1), wants(50), wants(50)
    assert passes.shared_out([small, large, other]) == {small: 1, large: 6, other: 3}
    other.done = 49
    assert passes.shared_out([other]) == {other: 1}
    many = [wants(3) for _ in range(30)]
    assert passes.shared_out(many) == dict.fromkeys(many[:10], 1)

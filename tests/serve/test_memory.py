"""What a process holds is asked of the allocator of GNU, in a process of its own."""

import os
import subprocess
import sys

import pytest
from tests.serve.conftest import Serve

from corarec.serve import memory, upkeep

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks the allocator of GNU")

SHAPES = """
import ctypes, torch
from corarec.serve import memory

class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "abcdefghij"]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Info
memory.keep_few_shapes()
weights = torch.ones(96, 96, dtype=torch.bfloat16)
for rows in range(1, 301):
    torch.ones(rows, 96, dtype=torch.bfloat16) @ weights
    if rows == memory.SHAPES:
        before = libc.mallinfo2().h
print(libc.mallinfo2().h - before)
"""

PIECES = """
import os, psutil
from corarec.serve import memory

held = [os.urandom(60_000) for _ in range(2_000)]
before = psutil.Process().memory_info().rss
held[:-1] = []
kept = psutil.Process().memory_info().rss
memory.give_back()
print(before - psutil.Process().memory_info().rss)
"""


def printed(program: str) -> int:
    plain = {name: text for name, text in os.environ.items() if "CACHE_CAPACITY" not in name}
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=plain)
    return int(ran.stdout)


def test_shapes_that_were_seen_once_are_not_kept() -> None:
    # Without a bound: 100 MB for these 172.
    assert printed(SHAPES) < 10e6


def test_what_is_free_goes_back_to_the_system() -> None:
    assert printed(PIECES) > 100e6


def test_a_service_keeps_few_shapes_and_gives_back_while_it_runs(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in memory._VARIABLES:
        monkeypatch.delenv(name, raising=False)
    given: list[int] = []
    monkeypatch.setattr(memory, "give_back", lambda: given.append(1))
    monkeypatch.setattr(upkeep, "LOOK_SECONDS", 0.01)
    client = serve()
    assert {os.environ[name] for name in memory._VARIABLES} == {str(memory.SHAPES)}
    client.get("/health/live")
    while len(given) < 3:
        assert client.get("/health/ready").status_code == 200

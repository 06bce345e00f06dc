import json
import multiprocessing
import os
import signal
import socket
import threading
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from corarec.errors import InUseError
from corarec.locks import lock_beside, locked, made_once


def hold(path: Path, held: Event) -> None:
    with locked(path, "The folder"):
        held.set()
        signal.pause()


@pytest.fixture
def holder(tmp_path: Path) -> multiprocessing.process.BaseProcess:
    context = multiprocessing.get_context("fork")
    held = context.Event()
    process = context.Process(target=hold, args=(tmp_path / ".lock", held))
    process.start()
    assert held.wait(30)
    return process


def test_the_second_is_told_who_holds_it(
    tmp_path: Path, holder: multiprocessing.process.BaseProcess
) -> None:
    try:
        with pytest.raises(InUseError) as caught, locked(tmp_path / ".lock", "The folder"):
            pytest.fail("two hold one lock")
        message = str(caught.value)
        assert f"process {holder.pid} on {socket.gethostname()}, since 20" in message
        assert "The folder is in use" in message
    finally:
        holder.kill()
        holder.join()


def test_a_killed_process_leaves_no_lock_behind(
    tmp_path: Path, holder: multiprocessing.process.BaseProcess
) -> None:
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    assert (tmp_path / ".lock").exists()
    with locked(tmp_path / ".lock", "The folder"):
        owner = json.loads((tmp_path / ".lock.owner").read_text())
        assert owner["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_one_process_does_not_hold_it_twice(tmp_path: Path) -> None:
    path = lock_beside(tmp_path / "out")
    with locked(path, "out"), pytest.raises(InUseError), locked(path, "out"):
        pytest.fail("two hold one lock")
    with locked(path, "out"):
        pass


def test_a_lock_whose_owner_cannot_be_read_is_still_a_lock(tmp_path: Path) -> None:
    with locked(tmp_path / ".lock", "x"):
        (tmp_path / ".lock.owner").write_text("{")
        with pytest.raises(InUseError, match="x is in use: another process"):
            locked(tmp_path / ".lock", "x").__enter__()


def test_an_error_inside_frees_it(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path / ".lock", "x"):
        raise ZeroDivisionError
    with locked(tmp_path / ".lock", "x"):
        pass


def test_what_several_need_is_made_by_one_while_the_others_wait(tmp_path: Path) -> None:
    output, made = tmp_path / "deep" / "model", list[int]()
    together = threading.Barrier(4)

    def need(number: int) -> None:
        together.wait(30)
        with made_once(output) as missing:
            if missing:
                time.sleep(0.1)
                made.append(number)
                output.mkdir()

    threads = [threading.Thread(target=need, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(made) == 1


def test_one_that_fails_lets_the_next_make_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mine"), made_once(tmp_path / "model"):
        raise ValueError("mine")
    with made_once(tmp_path / "model") as missing:
        assert missing

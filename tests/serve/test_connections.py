"""Clients that say what they want slowly, or never."""

import asyncio
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import uvicorn

from corarec.serve.connections import PatientProtocol, allow_files

HEAD = b"GET / HTTP/1.1\r\nhost: localhost\r\n"


class Hurried(PatientProtocol):
    seconds = 0.4


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer after a moment, without reading the body."""
    await asyncio.sleep(0.8 if scope["path"] == "/slow" else 0)
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def port() -> Iterator[int]:
    config = uvicorn.Config(
        app, http=Hurried, lifespan="off", log_config=None, limit_concurrency=4, port=0
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join(20)


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def test_a_head_that_trickles_in_is_ended(port: int) -> None:
    with connected(port) as client:
        began = time.monotonic()
        client.sendall(HEAD)
        with pytest.raises(OSError):  # noqa: PT011 - which one depends on the moment
            while time.monotonic() - began < 8:
                client.sendall(b"x-slow: 1\r\n")
                time.sleep(0.1)
        assert time.monotonic() - began < 5


def test_a_client_that_says_nothing_is_ended_with_a_word(port: int) -> None:
    with connected(port) as client:
        assert client.recv(100).startswith(b"HTTP/1.1 408 ")
        assert client.recv(100) == b""


def test_what_is_left_of_a_body_that_nobody_reads_is_not_waited_for(port: int) -> None:
    with connected(port) as client:
        client.sendall(HEAD.replace(b"GET", b"POST") + b"content-length: 1000\r\n\r\n")
        assert b"200" in client.recv(1000)
        began = time.monotonic()
        with pytest.raises(OSError):  # noqa: PT011
            while time.monotonic() - began < 8:
                client.sendall(b"x")
                time.sleep(0.1)
        assert time.monotonic() - began < 5


def test_an_answer_may_take_longer_and_the_next_request_is_answered(port: int) -> None:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    client.connect()
    same = client.sock
    for path in ("/slow", "/slow", "/"):
        client.request("GET", path)
        assert client.getresponse().read() == b"ok"
    assert client.sock is same
    client.close()


def test_connections_far_beyond_the_limit_are_closed_at_once(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corarec.serve.connections.SPARE", 2)
    monkeypatch.setattr(Hurried, "seconds", 30.0)
    clients = [connected(port) for _ in range(7)]
    clients[-1].settimeout(5)
    with suppress(ConnectionResetError):
        assert clients[-1].recv(10) == b""
    for client in clients:
        client.close()


def test_as_many_files_may_be_open_as_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr("resource.getrlimit", lambda _: (1_024, 4_096))
    monkeypatch.setattr("resource.setrlimit", lambda _, limits: told.append(limits))
    allow_files(2_048)
    allow_files(100)
    allow_files(100_000)
    assert told == [(2_048 + 64 + 256, 4_096), (4_096, 4_096)]

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


LARGE = 20_000_000
"""Bytes of an answer that no buffer of the system holds."""


class Hurried(PatientProtocol):
    seconds = 0.4
    answer_seconds = 0.5


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer after a moment, without reading the body."""
    path = scope["path"]
    await asyncio.sleep(0.8 if path == "/slow" else 0)
    body = bytes(LARGE) if path == "/large" else b"ok"
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def server() -> uvicorn.Server:
    config = uvicorn.Config(
        app, http=Hurried, lifespan="off", log_config=None, limit_concurrency=4, port=0
    )
    return uvicorn.Server(config)


@pytest.fixture
def port(server: uvicorn.Server) -> Iterator[int]:
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


def without(server: uvicorn.Server) -> float:
    """Return the seconds until the server has no connection and nothing in hand any more."""
    began = time.monotonic()
    while server.server_state.connections or server.server_state.tasks:
        assert time.monotonic() - began < 8
        time.sleep(0.02)
    return time.monotonic() - began


@pytest.mark.parametrize("requests", [1, 50])
def test_an_answer_that_nobody_reads_is_dropped(
    port: int, server: uvicorn.Server, requests: int
) -> None:
    with connected(port) as client:
        client.sendall((HEAD.replace(b"/ ", b"/large ") + b"\r\n") * requests)
        assert client.recv(1_000)
        assert len(server.server_state.connections) == 1
        # However many requests stand in a row, one answer waits for the client.
        (only,) = server.server_state.connections
        assert only.transport.get_write_buffer_size() <= LARGE
        assert 0.1 < without(server) < 5
        with pytest.raises(ConnectionResetError):
            while client.recv(1 << 20):
                pass


def test_an_answer_that_is_read_a_little_at_a_time_is_cut(
    port: int, server: uvicorn.Server
) -> None:
    with connected(port) as client:
        client.sendall(HEAD.replace(b"/ ", b"/large ") + b"\r\n")
        began = time.monotonic()
        while time.monotonic() - began < 8:
            assert client.recv(100)
            time.sleep(0.02)
            if not server.server_state.connections:
                break
        assert 0.3 < time.monotonic() - began < 5


def test_a_client_that_says_goodbye_and_reads_nothing_is_dropped(
    port: int, server: uvicorn.Server
) -> None:
    with connected(port) as client:
        close = b"connection: close\r\n\r\n"
        client.sendall(HEAD.replace(b"/ ", b"/large ") + close)
        assert client.recv(1_000)
        assert without(server) < 5


def test_a_large_answer_comes_whole_to_who_reads_it(port: int) -> None:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for _ in range(3):
        client.request("GET", "/large")
        assert len(client.getresponse().read()) == LARGE
    client.close()


def test_many_requests_in_a_row_are_answered_in_a_row(port: int) -> None:
    with connected(port) as client:
        client.sendall((HEAD + b"\r\n") * 200)
        found = b""
        while found.count(b"HTTP/1.1 200") < 200 or not found.endswith(b"ok"):
            found += client.recv(1 << 16)
        # And half a request after them is not waited for.
        client.sendall(HEAD)
        assert client.recv(10) == b""


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

"""The command as a process of its own, on a port of the loopback address."""

import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
import uvicorn
from tests.cli.conftest import corarec
from tests.serve.conftest import lines

from corarec.serve.connections import PatientProtocol
from corarec.serve.opening import open_store, store_of
from corarec.serve.server import GRACE, bind, make_app, serve
from corarec.serve.settings import ServeSettings

START_SECONDS = 120
SCORE = {"pairs": [{"user": "1", "item": "3"}]}


class Process:
    """`corarec serve` with some options."""

    def __init__(self, run: Path, cwd: Path, *options: object) -> None:
        self.log = cwd / "log.jsonl"
        command = [sys.executable, "-m", "corarec", "serve", run, "--port", 0, *options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(word) for word in command], stdout=subprocess.PIPE, stderr=log, cwd=cwd
            )
        assert self.process.stdout is not None
        self.printed = self.process.stdout.readline().decode()
        found = re.search(r"http://\S+", self.printed)
        self.url = found[0] if found else ""

    def ask(self, path: str, body: Any = None, method: str | None = None) -> tuple[int, Any]:
        """Return the status and the answer; 0 where there is no connection."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, data, {"content-type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())
        except (OSError, http.client.HTTPException):
            return 0, None

    def ready(self) -> "Process":
        end = time.monotonic() + START_SECONDS
        while self.ask("/health/ready")[0] != 200:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.05)
        return self

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


Start = Callable[..., Process]


@pytest.fixture
def start(packed_away: Path, tmp_path: Path) -> Iterator[Start]:
    started: list[Process] = []
    cwd = tmp_path / "cwd"
    cwd.mkdir()

    def run(*options: object) -> Process:
        started.append(Process(packed_away, cwd, *options))
        return started[-1]

    yield run
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait()
        assert each.process.stdout is not None
        each.process.stdout.close()


def files(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_a_service_from_its_start_to_its_end(start: Start, packed_away: Path) -> None:
    before = files(packed_away)
    # A request of many pairs takes long enough to be cut short.
    service = start("--set", "batch_tokens=1", "--set", "drain_seconds=30").ready()
    assert service.printed == f"{packed_away} is served at {service.url}\n"
    assert service.url.startswith("http://127.0.0.1:")

    for path in ("/../../etc/passwd", "/v1/items/..%2F..%2Fconfig.yaml", "/v1/users/%2Fetc%2Fx"):
        assert service.ask(path)[0] == 404
    for item in ("../../x", "/tmp/x", "a\\b"):
        assert service.ask("/v1/items", {"item": item, "title": item})[0] == 200
    assert service.ask("/v1/score", SCORE)[0] == 200

    # A client that goes away frees its place.
    large = {"pairs": [{"user": "1", "item": "3"}] * 1_000}
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        body = json.dumps(large).encode()
        head = f"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        client.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
        while queued(service) == 0:
            time.sleep(0.01)
    end = time.monotonic() + 20
    while queued(service) and time.monotonic() < end:
        time.sleep(0.01)
    assert queued(service) == 0
    assert "clients_gone_total 1.0" in text(service, "/metrics")

    # What is open at SIGTERM is answered.
    answers: list[int] = []
    some = {"pairs": [{"user": "1", "item": "3"}] * 200}
    asked = threading.Thread(target=lambda: answers.append(service.ask("/v1/score", some)[0]))
    asked.start()
    while queued(service) == 0:
        time.sleep(0.01)
    assert service.end() == 0
    asked.join(30)
    assert answers == [200]

    after = files(packed_away)
    changed = {
        Path(name).relative_to(packed_away) for name in after if before.get(name) != after[name]
    }
    assert {path.parts[0] for path in changed} == {"serve"}
    assert {path.name for path in changed} <= {
        "store.sqlite",
        "store.sqlite-wal",
        "store.sqlite-shm",
        "store.sqlite.lock",
    }
    assert [path.name for path in service.log.parent.iterdir()] == ["log.jsonl"]
    told = lines(service.log.read_text())
    assert [line for line in told if line["message"] == "draining"]
    assert len(told) == len(service.log.read_text().splitlines())  # every line is JSON


def queued(service: Process) -> float:
    found = re.search(r"^corarec_queue_requests (\S+)", text(service, "/metrics"), re.MULTILINE)
    assert found
    return float(found[1])


def text(service: Process, path: str) -> str:
    with urllib.request.urlopen(service.url + path, timeout=30) as answer:
        return str(answer.read().decode())


def test_nothing_acknowledged_is_lost_by_kill_9(start: Start, packed_away: Path) -> None:
    random.seed(0)
    acknowledged: set[tuple[str, int]] = set()
    for moment in range(1):
        service = start().ready()

        def tell(number: int, moment: int = moment, service: Process = service) -> None:
            for n in range(10_000):
                user = f"{moment}-{number}"
                event = {"user": user, "item": "3", "kind": "like", "time": n}
                if service.ask("/v1/feedback", event)[0] != 200:
                    return
                acknowledged.add((user, n))

        clients = [threading.Thread(target=tell, args=(number,)) for number in range(8)]
        for client in clients:
            client.start()
        time.sleep(0.5 + random.random())
        os.kill(service.process.pid, signal.SIGKILL)
        service.process.wait()
        for client in clients:
            client.join(30)
    store = open_store(store_of(packed_away))
    found = [(row["user"], row["time"]) for row in store.export()]
    store.close()
    assert len(acknowledged) > 20
    assert acknowledged <= set(found)
    assert len(found) == len(set(found))


@pytest.mark.slow
def test_several_processes_share_a_port_and_what_they_know(start: Start) -> None:
    service = start("--workers", "2").ready()
    end = time.monotonic() + START_SECONDS
    while "corarec_ready 1.0" not in text(service, "/metrics") and time.monotonic() < end:
        time.sleep(0.1)
    pair = {"pairs": [{"user": "somebody", "item": "2"}]}
    for n in range(1, 9):
        event = {"user": "somebody", "item": str(n + 2), "kind": "like", "time": n}
        assert service.ask("/v1/feedback", event)[0] == 200
        scores = {service.ask("/v1/score", pair)[1]["pairs"][0]["score"] for _ in range(4)}
        assert max(scores) - min(scores) < 1e-6  # whoever answers knows the like
    assert service.end() == 0
    told = lines(service.log.read_text())
    asked = {line["process"] for line in told if line.get("route") == "/v1/score"}
    assert len(asked) == 2


@pytest.mark.slow
def test_a_process_that_is_killed_is_replaced_and_the_others_answer(start: Start) -> None:
    service = start("--workers", "2", "--set", "drain_seconds=20").ready()
    end = time.monotonic() + START_SECONDS
    while "corarec_ready 1.0" not in text(service, "/metrics") and time.monotonic() < end:
        time.sleep(0.1)
    workers = psutil.Process(service.process.pid).children(recursive=True)
    workers = [each for each in workers if "resource_tracker" not in " ".join(each.cmdline())]
    assert len(workers) == 2
    event = {"user": "u", "item": "3", "kind": "like", "time": 1}
    assert service.ask("/v1/feedback", event)[0] == 200
    workers[0].kill()
    workers[0].wait(30)
    statuses = Counter(service.ask("/v1/score", SCORE)[0] for _ in range(20))
    # One request at most was in the hands of the killed one; a new one says that it loads.
    assert statuses[200] >= 1
    assert statuses.keys() <= {0, 200, 503}
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        there = psutil.Process(service.process.pid).children(recursive=True)
        if len(there) >= 2 and "corarec_ready 1.0" in text(service, "/metrics"):
            break
        time.sleep(0.2)
    assert {service.ask("/v1/score", SCORE)[0] for _ in range(10)} == {200}
    asked = re.findall(
        r'corarec_requests_total\{method="POST",route="/v1/feedback",status="200"\} (\S+)',
        text(service, "/metrics"),
    )
    assert [float(count) for count in asked] == [1.0]  # whoever counted it, dead or not
    answers: list[int] = []
    some = {"pairs": [{"user": "1", "item": "3"}] * 200}
    open_one = threading.Thread(target=lambda: answers.append(service.ask("/v1/score", some)[0]))
    open_one.start()
    while queued(service) == 0:
        time.sleep(0.01)
    assert service.end() == 0
    open_one.join(30)
    assert answers == [200]


@pytest.mark.slow
def test_a_run_that_cannot_be_opened_ends_the_command(
    start: Start, packed_away: Path, tmp_path: Path
) -> None:
    (packed_away / "cf" / "model.safetensors").write_bytes(b"damaged")
    service = start()
    assert service.process.wait(START_SECONDS) == 1
    assert "error: " in service.log.read_text().splitlines()[-1]


def test_limits_reach_the_process_that_is_served(start: Start, packed_away: Path) -> None:
    limits = {"body_seconds": 0.4, "connections": 3, "body_bytes": 2_000, "threads": 1}
    service = start(*(f"--set={name}={value}" for name, value in limits.items())).ready()
    told = service.ask("/info")[1]["limits"]
    assert {name: told[name] for name in limits} == limits
    host, port = service.url.removeprefix("http://").split(":")

    def connected() -> socket.socket:
        return socket.create_connection((host, int(port)), timeout=20)

    with connected() as silent:
        assert silent.recv(100).startswith(b"HTTP/1.1 408 ")
    with connected() as halfway:
        halfway.sendall(b"POST /v1/score HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{")
        assert b" 408 " in halfway.recv(100)
    assert service.ask("/v1/score", {"pairs": ["x" * 2_000]})[0] == 413
    with connected() as upgraded:  # what is no HTTP any more would pass by all the limits
        upgraded.sendall(
            b"GET /v1/users HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\n"
            b"upgrade: websocket\r\nsec-websocket-version: 13\r\n"
            b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert upgraded.recv(100).startswith(b"HTTP/1.1 200 ")
        assert service.ask("/health/live")[0] == 200
        with connected(), connected() as beyond:
            beyond.sendall(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert beyond.recv(100).startswith(b"HTTP/1.1 503 ")
    assert service.end() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_limits_reach_the_web_server(
    packed_away: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[uvicorn.Config] = []

    class Noted:
        processes: tuple[()] = ()

        def __init__(self, config: uvicorn.Config, **_: object) -> None:
            started.append(config)

        def run(self, **_: object) -> None:
            pass

    monkeypatch.setattr("uvicorn.Server", Noted)
    monkeypatch.setattr("corarec.serve.server.Multiprocess", Noted)
    monkeypatch.setattr("corarec.serve.server.log_as_json", lambda: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setenv("CORAREC_SERVE_SETTINGS", "")
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    for name in ("seconds", "answer_seconds"):
        monkeypatch.setattr(PatientProtocol, name, getattr(PatientProtocol, name))
    told = {"run": packed_away, "port": 0, "workers": workers, "connections": 77}
    told |= {"drain_seconds": 11.5, "body_seconds": 1.5, "answer_seconds": 2.5}
    settings = ServeSettings.parse(told, "the test")
    with bind(settings) as listening:
        serve(settings, listening)
    (config,) = started
    assert (config.limit_concurrency, config.workers) == (77, workers)
    assert config.timeout_graceful_shutdown is not None
    assert 11.5 < config.timeout_graceful_shutdown <= 11.5 + GRACE
    assert config.http is PatientProtocol
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR")
    make_app()
    assert (PatientProtocol.seconds, PatientProtocol.answer_seconds) == (1.5, 2.5)


def test_what_cannot_be_served_is_told_at_once(
    packed_away: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def error(*words: object) -> str:
        capsys.readouterr()
        assert corarec("serve", *words) == 1
        return capsys.readouterr().err

    assert "is no run" in error(tmp_path / "none")
    assert "none is no run" in error(packed_away, "--beside", tmp_path / "none")
    assert "the run itself" in error(packed_away, "--beside", packed_away / "." / "")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert "Address already in use" in error(packed_away, "--port", port)
    assert "Cannot assign requested address" in error(packed_away, "--host", "203.0.113.1")
    assert "holds no key" in error(packed_away, "--keys", empty(tmp_path / "keys.txt"))
    assert "Wanted is sqlite" in error(packed_away, "--store", "mysql://x/y")
    assert "greater than 0" in error(packed_away, "--set", "deadline_seconds=-1")
    assert "finite" in error(packed_away, "--set", "deadline_seconds=.nan")
    assert "Known: " in error(packed_away, "--set", "no_such_limit=1")
    assert "has an option of its own" in error(packed_away, "--set", "port=1")


def empty(path: Path) -> Path:
    path.touch()
    return path

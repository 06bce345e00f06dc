"""A tiny run that is served: in this process, or as a command of its own."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient

from corarec.recipe import RunConfig
from corarec.runs import load_run
from corarec.runs.live import LiveRun
from corarec.serve.app import create_app
from corarec.serve.keys import read_keys
from corarec.serve.opening import open_store, url_of
from corarec.serve.service import Service
from corarec.serve.settings import ServeSettings
from corarec.serve.store import Store
from corarec.train import train_run

READY_SECONDS = 60


@pytest.fixture(scope="session")
def live_of(trained_run: Path) -> Callable[[], LiveRun]:
    """Return what opens the run anew, its parts loaded only once."""
    run = load_run(trained_run)
    return lambda: LiveRun(run)


@pytest.fixture(scope="session")
def served_beside(recipe: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return another run of the same dataset."""
    folder = tmp_path_factory.mktemp("runs") / "other"
    train_run(RunConfig.parse(recipe | {"seed": 7}, "the fixture"), folder)
    return folder


class Served(TestClient):
    """A client of a service in this process."""

    service: Service

    def told(self, path: str, **body: Any) -> Any:
        """Send a body and return the answer, which is a result."""
        answer = self.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()


Serve = Callable[..., Served]


@pytest.fixture
def serve(live_of: Callable[[], LiveRun], trained_run: Path, tmp_path: Path) -> Iterator[Serve]:
    """Serve the run with some settings; the store lies in the test's folder."""
    clients: list[Served] = []

    def start(
        *, ready: bool = True, load: Any = None, load_beside: Any = None, **settings: Any
    ) -> Served:
        told = {"run": trained_run, "store": url_of(tmp_path / "store.sqlite")} | settings
        chosen = ServeSettings.parse(told, "the test")
        service = Service(chosen, load=load or live_of, load_beside=load_beside)
        app = create_app(chosen, service, read_keys(chosen.keys))
        client = Served(app, base_url="http://localhost", raise_server_exceptions=False)
        client.service = service
        client.__enter__()
        clients.append(client)
        until = time.monotonic() + READY_SECONDS
        while ready and service.trouble() and time.monotonic() < until:
            time.sleep(0.01)
        return client

    yield start
    for client in clients:
        client.__exit__()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return an empty store in a file."""
    opened = open_store(url_of(tmp_path / "store.sqlite"))
    yield opened
    opened.close()


@pytest.fixture
def packed_away(trained_run: Path, tmp_path: Path) -> Path:
    """Return a copy of the run, to be spoiled."""
    shutil.copytree(trained_run, tmp_path / "run")
    return tmp_path / "run"


ROOMS = [Path(p) for p in os.environ.get("PATH", "").split(":") if p]
ROOMS += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def free_port() -> int:
    """Return a port below those that clients get: one of these could take it meanwhile."""
    for port in range(20_000 + os.getpid() % 10_000, 32_000):
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
    raise AssertionError("no port is free")


class Postgres:
    """A server of Postgres of its own, on a port of the loopback address."""

    def __init__(self, folder: Path, programs: Path, user: str | None) -> None:
        self._folder, self._programs = folder, programs
        self._as = [] if user is None else ["runuser", "-u", user, "--"]
        self.port = free_port()
        self.databases = 0
        self._run("initdb", "-D", folder / "data", "-U", "corarec", "-A", "trust", "-N")
        self.start()

    def _run(self, program: str, *words: object) -> None:
        command = [*self._as, str(self._programs / program), *map(str, words)]
        subprocess.run(command, check=True, capture_output=True, cwd="/", timeout=60)

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self._folder}"
        log = self._folder / "log"
        self._run("pg_ctl", "-D", self._folder / "data", "-w", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self._folder / "data", "-w", "-m", "immediate", "stop")

    def database(self) -> str:
        """Make an empty database and return its URL."""
        self.databases += 1
        name = f"d{self.databases}"
        server = f"postgresql://corarec@127.0.0.1:{self.port}"
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"{server}/{name}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Return a server, where its programs are installed."""
    programs = next((room for room in ROOMS if (room / "initdb").is_file()), None)
    if programs is None:
        pytest.skip("no Postgres: initdb is not installed")
    user = "postgres" if os.geteuid() == 0 else None  # it does not run as root
    # Not in the folder of the tests: no other user may enter that.
    with tempfile.TemporaryDirectory(prefix="corarec-postgres-") as name:
        if user is not None:
            if shutil.which("runuser") is None:
                pytest.skip("no Postgres: it does not run as root, and runuser is not installed")
            try:
                shutil.chown(name, user)
            except LookupError:
                pytest.skip("no Postgres: it does not run as root, and there is no user postgres")
        server = Postgres(Path(name), programs, user)
        yield server
        server.stop()


def lines(text: str) -> list[dict[str, Any]]:
    """Return log lines."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

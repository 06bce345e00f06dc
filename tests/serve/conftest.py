"""A tiny run that is served: in this process, or as a command of its own."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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


def lines(text: str) -> list[dict[str, Any]]:
    """Return log lines."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

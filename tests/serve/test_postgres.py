"""The store in a real Postgres, where its programs are installed."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.serve import test_store
from tests.serve.conftest import Serve

from corarec.errors import StorageError
from corarec.serve.opening import open_store
from corarec.serve.store import Store, StoredEvent, StoreUnavailableError

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
    """A server of its own, on a port of the loopback address."""

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


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    programs = next((room for room in ROOMS if (room / "initdb").is_file()), None)
    if programs is None:
        pytest.skip("no Postgres: initdb is not installed")
    user = None
    folder = tmp_path_factory.mktemp("postgres")
    if os.geteuid() == 0:  # it does not run as root
        user = "postgres"
        if shutil.which("runuser") is None:
            pytest.skip("no Postgres: it does not run as root, and runuser is not installed")
        try:
            shutil.chown(folder, user)
        except LookupError:
            pytest.skip("no Postgres: it does not run as root, and there is no user postgres")
        for parent in folder.parents:
            if parent.stat().st_uid == 0 and parent.stat().st_mode & 0o001 == 0:
                parent.chmod(parent.stat().st_mode | 0o011)
    server = Postgres(folder, programs, user)
    yield server
    server.stop()


@pytest.fixture
def store(postgres: Postgres) -> Iterator[Store]:
    opened = open_store(postgres.database())
    yield opened
    opened.close()


test_once = test_store.test_an_event_told_twice_is_one
test_order = test_store.test_events_come_by_time_and_then_by_arrival
test_overwriting = test_store.test_overwriting_takes_back_what_was_said_of_the_same_item
test_changes = test_store.test_changes_are_those_since_a_number_and_whole_states
test_set_back = test_store.test_a_store_that_was_set_back_tells_everything
test_forgotten = test_store.test_a_forgotten_user_leaves_no_event_and_no_list
test_items = test_store.test_items_are_added_retitled_removed_and_bounded
test_clock = test_store.test_the_time_of_an_event_never_goes_back_with_the_clock
test_shown = test_store.test_what_was_shown_joins_the_event_that_names_its_request
test_expiry = test_store.test_what_is_old_goes
test_all_or_none = test_store.test_all_writes_of_a_transaction_or_none


def test_several_writers_lose_nothing_and_readers_miss_nothing(postgres: Postgres) -> None:
    test_store.write_and_read(postgres.database())


def test_opening_again_changes_nothing_and_migrations_wait_for_each_other(
    postgres: Postgres,
) -> None:
    url = postgres.database()
    test_store.open_at_once(url)
    first = open_store(url)
    first.write([test_store.told(("u", "i", "like", 5))])
    second = open_store(url, make=False)
    assert second.changes("", -1).users["u"].events == [StoredEvent("i", "like", 5)]
    assert second.kind == "postgresql"
    first.close()
    second.close()


def test_an_unknown_database_is_told_without_its_password(postgres: Postgres) -> None:
    url = f"postgresql://corarec:secret@127.0.0.1:{postgres.port}/none"
    with pytest.raises(StorageError, match=r"corarec:\*\*\*@.*does not exist") as error:
        open_store(url)
    assert "secret" not in str(error.value)


def test_a_service_outlives_its_server(serve: Serve, postgres: Postgres) -> None:
    client = serve(store=postgres.database())
    event = {"user": "u", "item": "3", "kind": "like", "time": 5}
    client.told("/v1/feedback", **event)
    postgres.stop()
    assert client.post("/v1/feedback", json=event | {"time": 6}).status_code == 503
    client.told("/v1/score", pairs=[{"user": "u", "item": "2"}])
    assert client.get("/health/ready").status_code == 200
    with pytest.raises(StoreUnavailableError):
        client.service.store.changes("", -1)
    postgres.start()
    assert client.told("/v1/feedback", **event | {"time": 7})["new"] == 1
    assert len(client.get("/v1/users/u").json()["events"]) == 2

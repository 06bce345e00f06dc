"""The store in a real Postgres, where its programs are installed."""

from collections.abc import Iterator

import pytest
from tests.serve import test_store
from tests.serve.conftest import Postgres, Serve

from corarec.errors import StorageError
from corarec.serve.opening import open_store
from corarec.serve.store import Store, StoredEvent, StoreUnavailableError


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

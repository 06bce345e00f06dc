import sqlite3
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from corarec.errors import ArtifactError, ConfigError, StorageError
from corarec.runs.live.checks import LAST_SECOND
from corarec.serve import database
from corarec.serve.database import store_url
from corarec.serve.opening import open_store, store_of, url_of
from corarec.serve.store import (
    Changes,
    ItemState,
    Store,
    StoredEvent,
    StoreUnavailableError,
    UserState,
)
from corarec.serve.writes import (
    Expire,
    Feedback,
    ForgetUser,
    NewEvent,
    PutItem,
    RemoveItem,
    Shown,
    Told,
)


def told(*events: tuple[Any, ...], overwrite: bool = False, key: str | None = None) -> Feedback:
    return Feedback([NewEvent(*event) for event in events], overwrite=overwrite, key=key)


def all_of(store: Store) -> Changes:
    return store.changes("", -1)


def test_an_event_told_twice_is_one(store: Store) -> None:
    like = ("u", "i", "like", 5)
    assert store.write([told(like, like)]) == [Told({"like": 1})]
    assert store.write([told(like), told(like, ("u", "i", "like", 6))]) == [
        Told({}),
        Told({"like": 1}),
    ]
    events = all_of(store).users["u"].events
    assert events == [StoredEvent("i", "like", 5), StoredEvent("i", "like", 6)]


def test_events_come_by_time_and_then_by_arrival(store: Store) -> None:
    store.write([told(("u", "late", "like", 9), ("u", "b", "like", 5), ("u", "a", "like", 5))])
    assert [event.item for event in all_of(store).users["u"].events] == ["b", "a", "late"]


def test_overwriting_takes_back_what_was_said_of_the_same_item(store: Store) -> None:
    store.write([told(("u", "i", "like", 5), ("u", "j", "like", 5), ("v", "i", "like", 5))])
    assert store.write([told(("u", "i", "dislike", 4), overwrite=True)]) == [Told({"dislike": 1})]
    state = all_of(store).users
    assert state["u"].events == [StoredEvent("i", "dislike", 4), StoredEvent("j", "like", 5)]
    assert state["v"].events == [StoredEvent("i", "like", 5)]


def test_changes_are_those_since_a_number_and_whole_states(store: Store) -> None:
    store.write([told(("u", "i", "like", 5)), told(("v", "i", "like", 5))])
    first = all_of(store)
    assert store.changes(first.store, first.number) == Changes(first.store, first.number)
    store.write([told(("u", "j", "seen", 6)), PutItem("new", "A title", {"year": 1999}, 9)])
    second = store.changes(first.store, first.number)
    assert list(second.users) == ["u"]
    assert [event.item for event in second.users["u"].events] == ["i", "j"]
    item = second.items["new"]
    assert (item.title, item.metadata, item.removed) == ("A title", {"year": 1999}, False)
    assert second.number > first.number


def test_a_store_that_was_set_back_tells_everything(store: Store) -> None:
    store.write([told(("u", "i", "like", 5))])
    now = all_of(store)
    assert store.changes(now.store, now.number + 100) == now
    assert store.changes("another", now.number) == now


def test_a_forgotten_user_leaves_no_event_and_no_list(store: Store, tmp_path: Path) -> None:
    store.write([told(("mallory-17", "i", "like", 5)), Shown("r", "mallory-17", [("i", 1, 0, 0)])])
    assert store.write([ForgetUser("mallory-17")]) == [1]
    assert all_of(store).users == {"mallory-17": UserState([], forgotten=True)}
    assert store.counts() == {"events": 0, "items": 0, "users": 1, "shown": 0}
    store.write([told(("mallory-17", "j", "like", 6))])
    assert all_of(store).users["mallory-17"] == UserState([StoredEvent("j", "like", 6)], True)


def test_items_are_added_retitled_removed_and_bounded(store: Store) -> None:
    assert store.write([PutItem("a", "One", {}, 1), PutItem("a", "One", {}, 1)]) == [True, False]
    assert store.write([PutItem("b", "Two", {}, 1), PutItem("a", "Uno", {}, 1)]) == [None, False]
    assert store.write([RemoveItem("a"), RemoveItem("a"), RemoveItem("x")]) == [True, False, False]
    item = all_of(store).items["a"]
    assert item == ItemState("Uno", {}, item.time, removed=True)
    assert store.write([PutItem("b", "Two", {}, 1), PutItem("a", "Uno", {}, 2)]) == [True, True]


def test_the_time_of_an_event_never_goes_back_with_the_clock(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    store.write([told(("u", "i", "like"))])
    monkeypatch.setattr(time, "time", lambda: now - 1_000_000)
    store.write([told(("u", "j", "like")), told(("v", "j", "like"))])
    users = all_of(store).users
    assert [event.item for event in users["u"].events] == ["i", "j"]
    assert users["u"].events[1].time == users["u"].events[0].time
    assert users["v"].events[0].time == int(now - 1_000_000)


def test_what_is_sent_again_with_its_key_is_written_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    timeless = told(("u", "i", "like"), key="k")
    assert store.write([timeless, timeless]) == [Told({"like": 1}), Told({"like": 1}, again=True)]
    monkeypatch.setattr(time, "time", lambda: now + 100)
    assert store.write([timeless]) == [Told({"like": 1}, again=True)]
    # What was said since is not taken back by an answer that was lost.
    store.write([told(("u", "i", "dislike"), overwrite=True)])
    assert store.write([timeless]) == [Told({"like": 1}, again=True)]
    assert [event.kind for event in all_of(store).users["u"].events] == ["dislike"]
    assert store.write([told(("u", "j", "like"), key="k")]) == [None]
    assert store.write([told(("u", "i", "like"), overwrite=True, key="k")]) == [None]
    assert len(list(store.export())) == 1
    store.write([Expire(0, None, int(now) + 50)])
    assert store.write([timeless]) == [Told({"like": 1})]


def test_a_store_of_the_first_version_is_brought_up_with_what_it_has(tmp_path: Path) -> None:
    store = open_store(url_of(tmp_path / "store.sqlite"))
    store.write([told(("u", "i", "like", 5))])
    with store.connection() as connection:
        connection.exec_driver_sql("DROP TABLE answered")
        connection.exec_driver_sql("ALTER TABLE counter DROP COLUMN dataset")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    store.close()
    with pytest.raises(ArtifactError, match="0001"):
        open_store(url_of(tmp_path / "store.sqlite"), make=False)
    again = open_store(url_of(tmp_path / "store.sqlite"))
    assert again.write([told(("u", "i", "like", 5), key="k")]) == [Told({})]
    assert [row["time"] for row in again.export()] == [5]
    again.close()


def test_what_was_shown_joins_the_event_that_names_its_request(store: Store) -> None:
    store.write([Shown("r", None, [("i", 3, 0.5, 0.6)]), Shown("r", None, [("i", 9, 0.1, 0.2)])])
    store.write([told(("u", "i", "like", 5, "r"), ("u", "j", "like", 4, "r"))])
    rows = list(store.export())
    assert [row["item"] for row in rows] == ["j", "i"]
    assert (rows[0]["shown_rank"], rows[1]["shown_rank"]) == (None, 3)
    assert rows[1]["shown_probability"] == pytest.approx(0.6)


def test_what_is_old_goes(store: Store) -> None:
    store.write([told(("u", "i", "like", 5), ("u", "j", "like", 50)), Shown("r", "u", [])])
    store.write([Shown("r", "u", [("i", 1, 0.0, 0.5)])])
    before = all_of(store)
    later = int(time.time()) + 100
    assert store.write([Expire(0, None), Expire(later, 50)]) == [0, 2]
    changed = store.changes(before.store, before.number)
    assert [event.item for event in changed.users["u"].events] == ["j"]
    assert store.counts()["shown"] == 0


def test_all_writes_of_a_transaction_or_none(store: Store) -> None:
    bad = Feedback([NewEvent("u", "i", "like", 2**70)])
    with pytest.raises((StoreUnavailableError, OverflowError)):
        store.write([told(("u", "i", "like", 5)), bad])
    assert all_of(store).users == {}


def test_a_file_that_goes_is_missed_and_found_again(store: Store, tmp_path: Path) -> None:
    store.write([told(("u", "i", "like", 5))])
    folder, away = tmp_path / "store.sqlite", tmp_path / "away.sqlite"
    for suffix in ("", "-wal", "-shm"):
        folder.with_name(folder.name + suffix).rename(away.with_name(away.name + suffix))
    for _ in range(2):
        with pytest.raises(StoreUnavailableError, match="not there any more"):
            store.write([told(("u", "j", "like", 5))])
        with pytest.raises(StoreUnavailableError):
            all_of(store)
    assert not folder.exists()
    for suffix in ("", "-wal", "-shm"):
        if away.with_name(away.name + suffix).exists():
            away.with_name(away.name + suffix).rename(folder.with_name(folder.name + suffix))
    assert store.write([told(("u", "k", "like", 6))]) == [Told({"like": 1})]
    assert [event.item for event in all_of(store).users["u"].events] == ["i", "k"]


def test_a_locked_file_is_told_and_does_not_last(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = sqlite3.connect(tmp_path / "store.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    impatient = Store(store.url)
    with pytest.raises(StoreUnavailableError, match="locked"):
        impatient.write([told(("u", "i", "like", 5))])
    assert all_of(impatient).users == {}  # reading goes on
    other.execute("ROLLBACK")
    assert impatient.write([told(("u", "i", "like", 5))]) == [Told({"like": 1})]
    impatient.close()
    other.close()


def test_a_full_disk_is_told_and_nothing_is_half_written(store: Store, tmp_path: Path) -> None:
    with store.connection() as connection:
        pages = int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    with pytest.raises(StoreUnavailableError, match="full"):
        store.write([told(*(("u" * 200, f"{n}" * 100, "like", n) for n in range(200)))])
    assert all_of(store).users == {}
    assert store.write([told(("u", "i", "like", 5))]) == [Told({"like": 1})]


def write_and_read(url: str) -> None:
    """Let two processes' stores write at once while a third reads what changes."""
    first, second, reader = open_store(url), open_store(url), open_store(url)
    seen: dict[str, int] = {}
    name, number, done = "", -1, False

    def write(store: Store, user: str) -> None:
        for n in range(30):
            store.write([told((user, str(n), "like", n))])

    threads = [
        threading.Thread(target=write, args=(store, user))
        for store, user in ((first, "a"), (second, "b"))
    ]
    for thread in threads:
        thread.start()
    while not done:
        done = not any(thread.is_alive() for thread in threads)
        changes = reader.changes(name, number)
        name, number = changes.store, changes.number
        seen |= {user: len(state.events) for user, state in changes.users.items()}
    assert seen == {"a": 30, "b": 30}
    for store in (first, second, reader):
        store.close()


def open_at_once(url: str) -> None:
    """Open a store that is not made yet from several threads."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            open_store(url).close()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_several_writers_lose_nothing_and_readers_miss_nothing(tmp_path: Path) -> None:
    write_and_read(url_of(tmp_path / "store.sqlite"))


def test_a_store_is_made_once_however_many_open_it(tmp_path: Path) -> None:
    open_at_once(url_of(tmp_path / "store.sqlite"))


# ---- opening


def test_the_file_is_its_owners_alone_and_lies_in_the_runs_folder(tmp_path: Path) -> None:
    url = store_of(tmp_path / "run")
    assert url == f"sqlite:///{tmp_path}/run/serve/store.sqlite"
    open_store(url).close()
    assert (tmp_path / "run/serve/store.sqlite").stat().st_mode & 0o777 == 0o600


def test_commits_are_durable(store: Store) -> None:
    with store.connection() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA secure_delete").scalar() == 1


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    url = url_of(tmp_path / "store.sqlite")
    first = open_store(url)
    first.write([told(("u", "i", "like", 5))])
    before = all_of(first)
    first.close()
    second = open_store(url)
    assert all_of(second) == before
    second.close()
    third = open_store(url, make=False)
    assert all_of(third) == before
    third.close()


def test_a_store_that_is_not_there_is_not_made_to_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing was stored there yet"):
        open_store(url_of(tmp_path / "store.sqlite"), make=False)
    assert list(tmp_path.iterdir()) == []


def test_a_store_of_a_later_version_is_refused(tmp_path: Path) -> None:
    url = url_of(tmp_path / "store.sqlite")
    open_store(url).close()
    with sqlite3.connect(tmp_path / "store.sqlite") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(ArtifactError, match="version that this corarec does not know"):
        open_store(url)
    with pytest.raises(ArtifactError, match="is of version 9999"):
        open_store(url, make=False)


def test_tables_of_others_are_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "store.sqlite") as connection:
        connection.execute("CREATE TABLE events (mine TEXT)")
    connection.close()
    with pytest.raises(ArtifactError, match="already has tables named events"):
        open_store(url_of(tmp_path / "store.sqlite"))
    with sqlite3.connect(tmp_path / "store.sqlite") as connection:
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
    connection.close()
    assert tables == [("events",)]


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite").write_bytes(b"something else entirely" * 100)
    with pytest.raises(ArtifactError, match="cannot be used"):
        open_store(url_of(tmp_path / "store.sqlite"))
    assert (tmp_path / "store.sqlite").read_bytes().startswith(b"something else")


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="folder is wanted"):
        open_store(url_of(tmp_path / "file" / "store.sqlite"))
    with pytest.raises(StorageError, match="cannot be used"):
        open_store("postgresql://nobody:secret@127.0.0.1:1/none")


@pytest.mark.parametrize(
    "url", ["", "x", "sqlite://", "sqlite:///:memory:", "mysql://u:secret@h/d", "sqlite:///a?b=c"]
)
def test_what_is_no_store_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError, match=r"Wanted is sqlite:///FILE or postgresql") as error:
        store_url(url)
    assert "secret" not in str(error.value)


def test_a_path_with_a_question_mark_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="question mark"):
        store_of(tmp_path / "what?")


def test_what_somebody_says_within_a_second_holds_in_the_order_of_arrival(store: Store) -> None:
    for kind in ("like", "dislike", "like", "like"):
        store.write([told(("u", "i", kind))])
    kinds = [event.kind for event in all_of(store).users["u"].events]
    assert kinds[-1] == "like"
    assert "dislike" in kinds


def test_a_clock_that_jumps_changes_no_order_and_ends_no_year(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n, now in enumerate((1e9, 5e9, 10.0, 1e15, 2e9)):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        store.write([told(("u", f"i{n}", "like")), PutItem(f"new-{n}", "T", {}, 99)])
    state = all_of(store)
    events = state.users["u"].events
    assert [event.item for event in events] == [f"i{n}" for n in range(5)]
    assert [event.time for event in events] == sorted(event.time for event in events)
    assert max(event.time for event in events) == LAST_SECOND
    assert all(0 <= item.time <= LAST_SECOND for item in state.items.values())


def test_forgetting_somebody_of_whom_nothing_is_known_leaves_nothing(store: Store) -> None:
    store.write([ForgetUser(f"nobody-{n}", in_dataset=False) for n in range(20)])
    assert store.counts()["users"] == 0
    store.write([ForgetUser("of-the-dataset"), told(("u", "i", "like", 5))])
    assert store.write([ForgetUser("u", in_dataset=False)]) == [1]
    forgotten = {user for user, state in all_of(store).users.items() if state.forgotten}
    assert forgotten == {"of-the-dataset", "u"}


def test_removed_items_that_no_history_shows_go_after_a_while(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["shown", "stays", "goes"]
    store.write([PutItem(name, name, {}, 9) for name in names])
    store.write([told(("u", "shown", "like", 5)), RemoveItem("shown"), RemoveItem("goes")])
    store.write([Expire(0, None, answered_before=int(time.time()) - 10)])
    assert set(all_of(store).items) == set(names)
    store.write([Expire(0, None, answered_before=int(time.time()) + 10)])
    assert set(all_of(store).items) == {"shown", "stays"}


def test_of_a_user_no_more_is_kept_than_counts(store: Store) -> None:
    def tell(*events: tuple[Any, ...], overwrite: bool = False) -> Told:
        feedback = replace(told(*events, overwrite=overwrite), most=3)
        (done,) = store.write([feedback])
        assert isinstance(done, Told)
        return done

    first = [("u", "i", "like", n) for n in range(3)]
    assert tell(*first).new == {"like": 3}
    assert tell(*first).new == {}  # sent again
    assert tell(("v", "i", "like", 9), ("u", "i", "like", 9)) == Told({}, full="u")
    assert "v" not in all_of(store).users
    assert tell(("u", "i", "like", 9), overwrite=True).new == {"like": 1}


def test_a_store_is_of_the_dataset_that_was_first_until_it_is_adopted(store: Store) -> None:
    ours, theirs = {"items": "a", "users": "b"}, {"items": "a", "users": "c"}
    assert store.bind(ours) == []
    assert store.bind(ours) == []
    assert store.bind(theirs) == ["users"]
    assert store.bind(ours) == []  # nothing was changed
    assert store.bind(theirs, adopt=True) == []
    assert store.bind(ours) == ["users"]


def test_of_users_whose_events_are_too_old_nothing_stays_in_the_end(store: Store) -> None:
    store.write([told(("u", "i", "like", 5), ("v", "i", "like", 50)), ForgetUser("w")])
    store.write([Expire(0, 20)])
    emptied = all_of(store)
    assert emptied.users["u"] == UserState([], forgotten=False)  # to be read by everybody
    store.write([Expire(0, 20, emptied_until=emptied.number - 1)])
    assert store.counts()["users"] == 3
    store.write([Expire(0, 20, emptied_until=emptied.number)])
    assert set(all_of(store).users) == {"v", "w"}

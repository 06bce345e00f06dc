"""A service that loads, hangs, drains, loses its store and gets it back."""

import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.serve.conftest import Serve, Served

from corarec.errors import ArtifactError, DataError
from corarec.runs.live import LiveRun
from corarec.runs.refresh import refresh_run
from corarec.serve import follow, passes, upkeep, writer
from corarec.serve.export import export_events

PAIRS = {"pairs": [{"user": "1", "item": "3"}]}
EVENT = {"user": "u", "item": "3", "kind": "like", "time": 5}


def until(happens: Callable[[], Any], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


class Gate:
    """Shuts the model of a service: requests hang until it is opened."""

    def __init__(self, client: Served, monkeypatch: pytest.MonkeyPatch) -> None:
        self._open = threading.Event()
        self.reached = threading.Event()
        scorer = client.service.queue.live.scorer
        plain = scorer.system.inputs

        def inputs(*values: Any) -> Any:
            self.reached.set()
            self._open.wait(30)
            return plain(*values)

        monkeypatch.setattr(scorer.system, "inputs", inputs)

    def open(self) -> None:
        self._open.set()


class Asked(threading.Thread):
    """A request that is made meanwhile."""

    def __init__(self, client: Served, path: str = "/v1/score", body: Any = None) -> None:
        super().__init__()
        self._ask = lambda: client.post(path, json=body or PAIRS)
        self.start()

    def run(self) -> None:
        self.answer = self._ask()

    def status(self) -> int:
        self.join(20)
        return int(self.answer.status_code)


def test_while_it_loads_it_is_alive_and_not_ready(
    serve: Serve, live_of: Callable[[], LiveRun]
) -> None:
    gate = threading.Event()

    def slowly() -> LiveRun:
        gate.wait(20)
        return live_of()

    client = serve(ready=False, load=slowly)
    ready = client.get("/health/ready")
    assert ready.status_code == 503
    assert "loading" in ready.json()["reason"]
    assert client.get("/health/live").status_code == 200
    asked = client.post("/v1/score", json=PAIRS)
    assert asked.status_code == 503
    assert asked.headers["retry-after"]
    assert client.post("/v1/feedback", json=EVENT).status_code == 503
    assert client.get("/info").status_code == 503
    gate.set()
    until(lambda: client.get("/health/ready").status_code == 200)
    client.told("/v1/score", **PAIRS)


def test_a_run_that_cannot_be_opened_is_told_and_worth_a_restart(serve: Serve) -> None:
    def fails() -> LiveRun:
        raise ArtifactError("The run is damaged.")

    client = serve(ready=False, load=fails)
    until(lambda: client.service.failure)
    ready = client.get("/health/ready")
    assert (ready.status_code, ready.json()["reason"]) == (503, "failed: The run is damaged.")
    assert client.get("/health/live").status_code == 503


def test_a_run_of_another_dataset_does_not_stand_beside(
    serve: Serve, live_of: Callable[[], LiveRun], served_beside: Path
) -> None:
    other = live_of().run
    prints = other.knowledge.fingerprint.model_copy(update={"titles": "else", "valid": "else"})
    stranger = replace(other.knowledge, fingerprint=prints)
    run = replace(other, parts=other.parts._replace(knowledge=stranger))
    client = serve(ready=False, load_beside=lambda: LiveRun(run), beside=served_beside)
    until(lambda: client.service.failure)
    assert "differ in titles, valid" in client.get("/health/ready").json()["reason"]


def test_what_is_served_says_how_much_it_was_told(serve: Serve) -> None:
    client = serve()
    client.told("/v1/items", item="new-1", title="The Quiet Comet (2031)")
    client.told("/v1/feedback", **EVENT)
    client.told("/v1/score", **PAIRS)
    about = client.get("/info").json()["run"]
    assert (about["events"], about["users_told"], about["items_added"]) == (1, 1, 1)


def test_a_refresh_of_the_run_beside_is_taken_into_use(
    serve: Serve, served_beside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(served_beside, tmp_path / "other")
    monkeypatch.setattr(upkeep, "LOOK_SECONDS", 0.05)
    client = serve(beside=tmp_path / "other")
    client.told("/v1/feedback", **EVENT)
    export_events(client.service.store, tmp_path / "events.parquet")
    refresh_run(tmp_path / "other", tmp_path / "events.parquet")
    engine = client.service.beside
    assert engine is not None
    until(lambda: engine.about["refresh"])
    assert client.service.engine.about["refresh"] is None
    assert client.get("/info").json()["run"]["beside"]["refresh"] == engine.about["refresh"]
    assert [event.item for event in engine.live.known("u").events] == ["3"]


def test_health_never_says_200_while_requests_hang(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve(deadline_seconds=0.5)
    gate = Gate(client, monkeypatch)
    asked = Asked(client)
    gate.reached.wait(10)
    assert asked.status() == 504
    assert asked.answer.json()["error"] == "deadline"
    until(lambda: client.get("/health/ready").status_code == 503, 5)
    assert "in one step" in client.get("/health/ready").json()["reason"]
    assert client.get("/health/live").status_code == 503
    gate.open()
    until(lambda: client.get("/health/ready").status_code == 200)
    assert client.service.queue.sizes() == (0, 0)
    client.told("/v1/score", **PAIRS)


def test_beyond_the_queue_there_is_429_and_recovery_within_a_second(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve(queue_requests=2)
    gate = Gate(client, monkeypatch)
    asked = [Asked(client) for _ in range(2)]
    gate.reached.wait(10)
    until(lambda: client.service.queue.sizes()[0] == 2)
    refused = client.post("/v1/score", json=PAIRS)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert client.get("/health/ready").status_code == 200
    assert client.post("/v1/feedback", json=EVENT).status_code == 200  # needs no model
    gate.open()
    assert [each.status() for each in asked] == [200, 200]
    ended = time.monotonic()
    client.told("/v1/score", **PAIRS)
    assert time.monotonic() - ended < 1


def test_a_request_that_makes_the_model_fail_is_answered_alone(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve()
    system = client.service.queue.live.scorer.system
    plain = system.inputs

    def inputs(pairs: Any, titles: Any = ()) -> Any:
        if "Poison" in titles:
            raise RuntimeError("the model cannot read this; its secret is swordfish")
        return plain(pairs, titles)

    monkeypatch.setattr(system, "inputs", inputs)
    poison = {"pairs": [{"user": "1", "title": "Poison"}]}
    asked = [Asked(client, body=body) for body in [PAIRS, poison] * 4]
    assert [each.status() for each in asked] == [200, 500] * 4
    problem = asked[1].answer.json()
    # A number might stand in the request's id.
    assert "swordfish" not in problem["message"]
    assert problem["request_id"] == asked[1].answer.headers["x-request-id"]
    assert client.get("/health/ready").status_code == 200


def test_items_that_change_while_they_are_scored_are_not_taken_for_others(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "SLICE", 4)
    client = serve()
    for n in range(12):
        client.told("/v1/items", item=f"n-{n}", title=f"{n} Quiet Comets" * (n + 1))
    gate = Gate(client, monkeypatch)
    wanted = {"user": "1", "k": 12, "filter": {"added_only": True}}
    asked = Asked(client, "/v1/recommend", wanted)
    assert gate.reached.wait(20)
    for n in range(0, 12, 2):
        assert client.delete(f"/v1/items/n-{n}").status_code == 200
    client.told("/v1/items", item="other", title="Rivers of Silver")
    gate.open()
    assert asked.status() == 200
    items = {row["item"]: row["score"] for row in asked.answer.json()["items"]}
    assert set(items) == {"other", *(f"n-{n}" for n in range(1, 12, 2))}
    pairs = [{"user": "1", "item": item} for item in items]
    alone = {row["item"]: row["score"] for row in client.told("/v1/score", pairs=pairs)["pairs"]}
    assert items == pytest.approx(alone, abs=1e-4)


def test_a_person_forgotten_while_somebody_is_scored_lends_no_vector(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve()
    client.told("/v1/feedback", user="first", item="3", kind="like", time=1)
    monkeypatch.setattr(passes, "SLICE", 4)
    gate = Gate(client, monkeypatch)
    asked = Asked(client, "/v1/recommend", {"user": "first", "k": 20})
    assert gate.reached.wait(20)
    assert client.delete("/v1/users/first").status_code == 200
    client.told("/v1/feedback", user="second", item="7", kind="like", time=1)
    client.get("/v1/items/3")  # what was told before is known to whoever asks
    gate.open()
    assert asked.status() == 200
    answer = asked.answer.json()
    assert answer["known"] is False
    stranger = client.told("/v1/recommend", user="nobody", k=20)["items"]
    assert [row["item"] for row in answer["items"]] == [row["item"] for row in stranger]


def test_a_row_of_the_store_that_another_program_damaged_stops_nothing(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "PAUSE", 0.01)
    client = serve()
    client.told("/v1/items", item="a", title="A")
    with client.service.store.connection() as connection:
        connection.exec_driver_sql("UPDATE items SET metadata = '{', number = number + 1")
        connection.exec_driver_sql("UPDATE counter SET value = value + 1")
    client.told("/v1/score", **PAIRS)
    client.told("/v1/recommend", user="1", k=2)
    assert "JSONDecodeError" in client.get("/health/ready").json()["store"]
    with client.service.store.connection() as connection:
        connection.exec_driver_sql("UPDATE items SET metadata = '{}'")
    until(lambda: client.get("/v1/items/a").status_code == 200)
    until(lambda: client.get("/health/ready").json()["store"] == "ok")


def test_draining_answers_what_is_open_and_takes_no_more(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve(drain_seconds=20)
    gate = Gate(client, monkeypatch)
    asked = Asked(client)
    gate.reached.wait(10)
    client.service.drain()
    ready = client.get("/health/ready")
    assert ready.status_code == 503
    assert "draining" in ready.json()["reason"]
    assert client.get("/health/live").status_code == 200
    assert client.post("/v1/score", json=PAIRS).status_code == 503
    gate.open()
    assert asked.status() == 200


def test_a_drain_ends_in_its_time(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    client = serve(drain_seconds=0.3)
    gate = Gate(client, monkeypatch)
    asked = Asked(client)
    gate.reached.wait(10)
    client.service.drain()
    started = time.monotonic()
    assert asked.status() == 504
    assert time.monotonic() - started < 3
    gate.open()


def test_without_its_store_it_scores_and_says_503_to_writes(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "PAUSE", 0.05)
    client = serve()
    client.told("/v1/feedback", **EVENT)
    before = client.told("/v1/score", pairs=[{"user": "u", "item": "2"}])["pairs"]
    away = tmp_path / "away"
    away.mkdir()
    names = [path.name for path in tmp_path.glob("store.sqlite*")]
    for name in names:
        (tmp_path / name).rename(away / name)
    for method, path, body in (
        ("POST", "/v1/feedback", EVENT | {"time": 6}),
        ("POST", "/v1/items", {"item": "a", "title": "A"}),
        ("DELETE", "/v1/users/u", None),
    ):
        answer = client.request(method, path, json=body)
        assert answer.status_code == 503, answer.text
        assert answer.json()["error"] == "store_unavailable"
        assert answer.headers["retry-after"] == "2"
    assert client.told("/v1/score", pairs=[{"user": "u", "item": "2"}])["pairs"] == before
    assert client.get("/health/ready").status_code == 200
    assert "unavailable" in client.get("/health/ready").json()["store"]
    assert "corarec_store_up 0.0" in client.get("/metrics").text
    for name in names:
        (away / name).rename(tmp_path / name)
    until(lambda: client.post("/v1/feedback", json=EVENT | {"time": 7}).status_code == 200)
    until(lambda: client.get("/health/ready").json()["store"] == "ok")
    times = [event["time"] for event in client.get("/v1/users/u").json()["events"]]
    assert sorted(times) == [5, 7]


def test_a_store_that_was_set_back_is_followed(serve: Serve, tmp_path: Path) -> None:
    client = serve()
    client.told("/v1/feedback", **EVENT)
    client.told("/v1/items", item="a", title="A")
    with client.service.store.connection() as connection:
        for sql in ("DELETE FROM events", "DELETE FROM users", "DELETE FROM items"):
            connection.exec_driver_sql(sql)
        connection.exec_driver_sql("UPDATE counter SET value = 0, store = 'restored'")
    assert client.told("/v1/recommend", user="u", k=1)["known"] is False
    assert client.get("/v1/items/a").status_code == 404
    assert client.post("/v1/feedback", json=EVENT).json()["new"] == 1
    assert client.told("/v1/recommend", user="u", k=1)["known"] is True


def test_a_full_disk_is_503_and_over_when_there_is_room(serve: Serve) -> None:
    client = serve()
    with client.service.store.connection() as connection:
        pages = int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    events = [{"user": f"{n}" * 50, "item": "3", "kind": "like", "time": n} for n in range(900)]
    answer = client.post("/v1/feedback", json={"events": events})
    assert answer.status_code == 503
    assert "full" in answer.json()["message"]
    client.told("/v1/score", **PAIRS)
    with client.service.store.connection() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1000000")
    assert client.told("/v1/feedback", events=events)["new"] == 900


def test_a_clock_that_jumps_changes_no_deadline_and_no_order(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve(deadline_seconds=5)
    now = time.time()
    event = {"user": "u", "kind": "like"}
    for jump, item in ((0, "1"), (-(10**7), "2"), (10**7, "3"), (-(10**8), "4")):
        monkeypatch.setattr(time, "time", lambda jump=jump: now + jump)
        client.told("/v1/feedback", **event, item=item)
        client.told("/v1/score", pairs=[{"user": "u", "item": "5"}])
    events = client.service.store.changes("", -1).users["u"].events
    assert [each.item for each in events] == ["1", "2", "3", "4"]
    assert client.get("/health/ready").status_code == 200


def test_a_refresh_is_taken_into_use_without_a_stop_and_a_damaged_one_is_not(
    serve: Serve, packed_away: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "LOOK_SECONDS", 0.05)
    client = serve(run=packed_away, load=lambda: LiveRun.open(packed_away))
    pairs = [{"user": "u", "item": "2"}, {"user": "u", "item": "new-1"}]
    client.told("/v1/items", item="new-1", title="The Quiet Comet (2031)")
    client.told("/v1/feedback", **EVENT)
    client.told("/v1/feedback", **EVENT | {"item": "new-1"})
    client.told("/v1/score", pairs=pairs)
    _, items = export_events(client.service.store, tmp_path / "events.parquet")
    made = refresh_run(packed_away, tmp_path / "events.parquet", items)
    until(lambda: client.get("/info").json()["run"]["refresh"] == made.fingerprint)
    assert len(client.told("/v1/score", pairs=pairs)["pairs"]) == 2
    assert client.told("/v1/recommend", user="u", k=1)["known"] is True
    client.told("/v1/feedback", **EVENT | {"item": "4", "time": 9})
    again = client.told("/v1/recommend", user="u", k=40, candidates=50)["items"]
    assert not {"3", "4", "new-1"} & {item["item"] for item in again}
    (packed_away / "refreshes" / "current.json").write_text('{"fingerprint": "none"}')
    time.sleep(0.5)
    client.told("/v1/score", pairs=pairs)
    assert client.get("/info").json()["run"]["refresh"] == made.fingerprint


def test_too_many_waiting_writes_are_503(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "WAITING", 1)
    # What the service notes by itself would take the one place.
    monkeypatch.setattr(writer.Writer, "note", lambda self, write: None)
    client = serve()
    gate, reached = threading.Event(), threading.Event()
    plain = client.service.store.write

    def slow(writes: Any) -> Any:
        reached.set()
        gate.wait(60)
        return plain(writes)

    monkeypatch.setattr(client.service.store, "write", slow)
    first = Asked(client, "/v1/feedback", EVENT)
    assert reached.wait(20)
    second = Asked(client, "/v1/feedback", EVENT | {"time": 6})
    until(lambda: client.service.writer._waiting.full())
    third = client.post("/v1/feedback", json=EVENT | {"time": 7})
    assert (third.status_code, third.json()["error"]) == (503, "store_unavailable")
    gate.set()
    assert (first.status(), second.status()) == (200, 200)


def test_many_clients_at_once_are_all_answered_and_each_event_counts_once(serve: Serve) -> None:
    client = serve()
    bodies = [EVENT | {"user": f"u{n % 5}", "time": n} for n in range(20)]
    asked = [Asked(client, "/v1/feedback", body) for body in bodies + bodies]
    asked += [Asked(client, body=PAIRS) for _ in range(20)]
    assert {each.status() for each in asked} == {200}
    assert len(list(client.service.store.export())) == 20


def test_a_store_of_another_dataset_is_refused_and_left_as_it_is(
    serve: Serve, live_of: Callable[[], LiveRun]
) -> None:
    first = serve()
    first.told("/v1/feedback", **EVENT)
    before = first.service.store.changes("", -1)
    run = live_of().run
    prints = run.knowledge.fingerprint.model_copy(update={"items": "else"})
    stranger = replace(run.knowledge, fingerprint=prints)
    other = replace(run, parts=run.parts._replace(knowledge=stranger))
    refused = serve(ready=False, load=lambda: LiveRun(other))
    until(lambda: refused.service.failure)
    assert "differ in items" in refused.get("/health/ready").json()["reason"]
    assert first.service.store.changes("", -1) == before
    adopted = serve(load=lambda: LiveRun(other), adopt_store=True)
    assert adopted.get("/v1/users/u").json()["events"][0]["item"] == "3"


def test_two_services_on_one_store_know_what_each_was_told(serve: Serve) -> None:
    one, two = serve(), serve()
    one.told("/v1/feedback", **EVENT)
    assert two.get("/v1/users/u").json()["events"][0]["item"] == "3"
    two.told("/v1/items", item="new", title="The Quiet Comet (2031)")
    assert one.get("/v1/items/new").status_code == 200
    assert two.delete("/v1/users/u").status_code == 200
    assert one.get("/v1/users/u").status_code == 404


def test_what_was_liked_and_removed_counts_after_a_restart_too(serve: Serve) -> None:
    client = serve()
    client.told("/v1/items", item="new", title="The Quiet Comet (2031)")
    client.told("/v1/feedback", user="u", item="new", kind="like", time=5)
    assert client.delete("/v1/items/new").status_code == 200
    pairs = {"pairs": [{"user": "u", "item": "3"}]}
    before = client.told("/v1/score", **pairs)["pairs"]
    again = serve()
    assert again.get("/v1/users/u").json()["events"][0]["title"] == "The Quiet Comet (2031)"
    assert again.told("/v1/score", **pairs)["pairs"][0]["score"] == pytest.approx(
        before[0]["score"], abs=1e-5
    )
    assert again.get("/v1/items/new").status_code == 404


def test_searches_wait_in_a_line_that_is_bounded(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve(queue_requests=2, deadline_seconds=1)
    gate = threading.Event()
    plain = client.service.index.search

    def search(*values: Any) -> Any:
        gate.wait(20)
        return plain(*values)

    monkeypatch.setattr(client.service.index, "search", search)
    asked = [threading.Thread(target=client.get, args=("/v1/items?q=alien",)) for _ in range(2)]
    for each in asked:
        each.start()
    until(lambda: client.service._searches == 2)
    assert client.get("/v1/items?q=alien").status_code == 429
    until(lambda: client.service._searches == 0, 10)  # their deadline has passed
    gate.set()
    for each in asked:
        each.join()
    assert client.get("/v1/items?q=alien").status_code == 200


def test_what_is_computed_once_is_so_before_it_is_ready_and_a_failure_of_that_stops_nothing(
    serve: Serve, served_beside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warmed: list[LiveRun] = []

    def warm_up(live: LiveRun) -> None:
        warmed.append(live)
        raise DataError("One title is too long for a prompt.")

    monkeypatch.setattr(LiveRun, "warm_up", warm_up)
    client = serve(beside=served_beside)
    assert warmed == [engine.live for engine in client.service.engines]
    client.told("/v1/score", **PAIRS)


def test_the_scoring_has_what_its_settings_give_it(serve: Serve) -> None:
    before = torch.get_num_threads()
    try:
        limits = {"queue_requests": 11, "queue_pairs": 22, "deadline_seconds": 33.5}
        client = serve(threads=3, batch_tokens=44, **limits)
        queue = client.service.queue
        threads: list[int] = []

        def note() -> bool:
            threads.append(torch.get_num_threads())
            return False

        queue.control(note).result(10)
        assert threads == [3]
        assert (queue.queue_requests, queue.queue_pairs, queue.stall_seconds) == (11, 22, 33.5)
        assert queue._passes._batch_tokens == 44
    finally:
        torch.set_num_threads(before)

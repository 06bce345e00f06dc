import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest
from tests.serve.conftest import Serve

from corarec.serve import routes
from corarec.serve.writes import Feedback, NewEvent

USER, ITEM = "1", "3"


def wrong(client: Any, method: str, path: str, status: int, **send: Any) -> dict[str, Any]:
    """Send a request and return why there is no result."""
    answer = client.request(method, path, **send)
    assert answer.status_code == status, answer.text
    problem: dict[str, Any] = answer.json()
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["message"].endswith(".")
    return problem


def test_pairs_are_scored_as_the_run_scores_them(serve: Serve) -> None:
    client = serve()
    pairs = [{"user": USER, "item": ITEM}, {"user": 2, "item": 4}, {"user": USER, "title": "Foo"}]
    found = client.told("/v1/score", pairs=pairs)["pairs"]
    run = client.service.engine.live.run
    assert found[0]["title"] == run.knowledge.catalogue.titles[run.directory.item_numbered(ITEM)]
    assert found[2]["item"] is None
    assert found[2]["title"] == "Foo"
    assert found[2]["probability"] == pytest.approx(run.score_title(USER, "Foo"), abs=1e-6)


def test_a_list_is_ordered_has_no_known_item_and_is_kept(serve: Serve) -> None:
    client = serve()
    answer = client.get("/v1/recommend", params={"user": USER, "k": 5, "exclude": ["3", "4"]})
    items = answer.json()["items"]
    scores = [item["score"] for item in items]
    assert len(items) == 5
    assert scores == sorted(scores, reverse=True)
    run = client.service.engine.live.run
    seen = run.knowledge.timeline.seen(run.directory.user(USER))
    offered = {item["item"] for item in items}
    assert not offered & {*run.knowledge.catalogue.vocabulary.raw(seen), "3", "4"}
    event = {"user": USER, "item": items[2]["item"], "kind": "like", "time": 5}
    client.told("/v1/feedback", **event, request_id=answer.json()["request_id"])
    (row,) = list(client.service.store.export())
    assert row["shown_rank"] == 3


def test_own_candidates_are_put_in_order(serve: Serve) -> None:
    client = serve()
    body = {"user": USER, "items": ["1", "2", "3"], "titles": ["Foo"], "exclude": ["2"]}
    items = client.told("/v1/rank", **body)["items"]
    assert {item["item"] for item in items} == {"1", "3", None}
    assert [item["rank"] for item in items] == [1, 2, 3]
    one_by_one = client.told(
        "/v1/score",
        pairs=[{"user": USER, "item": "1"}, {"user": USER, "item": "3"}],
    )["pairs"]
    for pair in one_by_one:
        same = next(item for item in items if item["item"] == pair["item"])
        assert same["score"] == pytest.approx(pair["score"], abs=1e-5)


def test_a_like_counts_in_the_very_next_answer(serve: Serve) -> None:
    client = serve()
    before = client.told("/v1/score", pairs=[{"user": "somebody", "item": "2"}])["pairs"][0]
    assert client.told("/v1/recommend", user="somebody", k=1)["known"] is False
    like = {"user": "somebody", "item": ITEM, "kind": "like", "time": 5}
    assert client.told("/v1/feedback", **like)["new"] == 1
    after = client.told("/v1/score", pairs=[{"user": "somebody", "item": "2"}])["pairs"][0]
    assert after["score"] != before["score"]
    answer = client.told("/v1/recommend", user="somebody", k=45)
    assert answer["known"] is True
    assert ITEM not in {item["item"] for item in answer["items"]}


def test_feedback_is_told_once_however_often_it_is_sent(serve: Serve) -> None:
    client = serve()
    event = {"user": "u", "item": ITEM, "kind": "like", "time": 5}
    assert client.told("/v1/feedback", events=[event, event])["new"] == 1
    again = client.told("/v1/feedback", events=[event, event | {"time": 6}])
    assert (again["accepted"], again["new"]) == (2, 1)
    put = client.put("/v1/feedback", json=event | {"kind": "dislike"}).json()
    assert put["new"] == 1
    known = client.get("/v1/users/u").json()["events"]
    assert [(e["item"], e["kind"], e["live"]) for e in known] == [(ITEM, "dislike", True)]


def test_feedback_with_a_key_is_told_once_however_many_send_it(serve: Serve) -> None:
    client = serve()
    event = {"user": "u", "item": ITEM, "kind": "like"}
    headers = {"idempotency-key": "one-1"}
    with ThreadPoolExecutor(8) as pool:
        asked = [
            pool.submit(client.post, "/v1/feedback", json=event, headers=headers) for _ in range(16)
        ]
        answers = [each.result() for each in asked]
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["new"] for answer in answers} == {1}
    assert len(list(client.service.store.export())) == 1
    assert 'corarec_events_total{kind="like"} 1.0' in client.get("/metrics").text
    other = client.post("/v1/feedback", json=event | {"kind": "seen"}, headers=headers)
    assert (other.status_code, other.json()["error"]) == (422, "key_used")
    as_put = client.put("/v1/feedback", json=event, headers=headers)
    assert as_put.status_code == 422
    for odd in ("", "a b", "x" * 65, "a;b"):
        refused = client.post("/v1/feedback", json=event, headers={"idempotency-key": odd})
        assert refused.status_code == 422
    assert len(list(client.service.store.export())) == 1


def test_an_item_is_added_scored_at_once_found_and_removed(serve: Serve) -> None:
    client = serve()
    item = {"item": "new-1", "title": "The Quiet Comet (2031)", "metadata": {"year": 2031}}
    assert client.told("/v1/items", **item)["new"] is True
    assert client.told("/v1/items", **item)["new"] is False
    (pair,) = client.told("/v1/score", pairs=[{"user": USER, "item": "new-1"}])["pairs"]
    assert pair["title"] == "The Quiet Comet (2031)"
    assert client.get("/v1/items/new-1").json()["metadata"] == {"year": 2031}
    found = client.get("/v1/items", params={"q": "quite comet"}).json()["items"]
    assert found[0]["item"] == "new-1"
    assert [each["item"] for each in client.get("/v1/items").json()["items"]] == ["new-1"]
    assert client.delete("/v1/items/new-1").status_code == 200
    wrong(client, "DELETE", "/v1/items/new-1", 404)
    wrong(client, "GET", "/v1/items/new-1", 404)
    pairs = [{"user": USER, "item": "new-1"}]
    wrong(client, "POST", "/v1/score", 422, json={"pairs": pairs})


def test_items_of_the_dataset_are_not_changed(serve: Serve) -> None:
    client = serve()
    wrong(client, "POST", "/v1/items", 409, json={"item": ITEM, "title": "Mine"})
    wrong(client, "DELETE", f"/v1/items/{ITEM}", 409)
    assert client.get(f"/v1/items/{ITEM}").json()["added"] is False


def test_no_more_items_are_added_than_may_be(serve: Serve) -> None:
    client = serve(added_items=1)
    client.told("/v1/items", item="a", title="One")
    problem = wrong(client, "POST", "/v1/items", 507, json={"item": "b", "title": "Two"})
    assert "1 added items" in problem["message"]


def test_a_forgotten_user_is_a_stranger(serve: Serve) -> None:
    client = serve()
    pairs = [{"user": USER, "item": "2"}, {"user": "nobody", "item": "2"}]
    client.told("/v1/feedback", user=USER, item=ITEM, kind="like", time=5)
    before = client.told("/v1/score", pairs=pairs)["pairs"]
    assert before[0]["score"] != before[1]["score"]
    assert client.delete(f"/v1/users/{USER}").json()["events"] == 1
    after = client.told("/v1/score", pairs=pairs)["pairs"]
    assert after[0]["score"] == pytest.approx(after[1]["score"], abs=1e-6)
    assert client.told("/v1/recommend", user=USER, k=1)["known"] is False


def test_what_is_known_of_a_user_is_shown(serve: Serve) -> None:
    client = serve()
    client.told("/v1/feedback", user=USER, item=ITEM, kind="like", time=2_000_000_000)
    answer = client.get(f"/v1/users/{USER}").json()
    assert answer["in_dataset"] is True
    assert answer["events"][0]["live"] is True
    problem = wrong(client, "GET", "/v1/users/nobody-at-all", 404)
    assert "nobody-at-all" in problem["message"]
    found = client.get("/v1/users", params={"q": "1"}).json()["users"]
    assert found
    assert all("1" in user for user in found)
    assert client.get("/v1/users").json()["users"]


# ---- bad requests

LONG = "x" * 10_000
BAD_TEXTS = [LONG, "a\0b", "a\x1b[31m", "a\u202eb", "\ud800", " ", ""]


@pytest.mark.parametrize("text", BAD_TEXTS)
def test_bad_ids_and_titles_are_told(serve: Serve, text: str) -> None:
    client = serve(ready=True)
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("/v1/score", {"pairs": [{"user": text, "item": ITEM}]}),
        ("/v1/score", {"pairs": [{"user": USER, "item": text}]}),
        ("/v1/score", {"pairs": [{"user": USER, "title": text}]}),
        ("/v1/rank", {"user": USER, "items": [text]}),
        ("/v1/rank", {"liked": [text], "items": [ITEM]}),
        ("/v1/recommend", {"liked": [text]}),
        ("/v1/recommend", {"user": USER, "exclude": [text]}),
        ("/v1/feedback", {"user": text, "item": ITEM, "kind": "like"}),
        ("/v1/items", {"item": text, "title": "A"}),
        ("/v1/items", {"item": "a", "title": text}),
        ("/v1/items", {"item": "a", "title": "A", "metadata": {"genre": text or "\0"}}),
    ]
    for path, body in bodies:
        content = json.dumps(body).encode("ascii")
        headers = {"content-type": "application/json"}
        problem = wrong(client, "POST", path, 422, content=content, headers=headers)
        assert any(
            "wanted" in each["wanted"] or "hould" in each["wanted"] for each in problem["details"]
        ), problem


BAD_BODIES = [
    ("/v1/score", "{"),
    ("/v1/score", "[]"),
    ("/v1/score", "null"),
    ("/v1/score", '{"pairs": []}'),
    ("/v1/score", '{"pairs": [{"user": NaN, "item": "1"}]}'),
    ("/v1/score", '{"pairs": [{"user": 1e400, "item": "1"}]}'),
    ("/v1/score", '{"pairs": [{"user": 1.5, "item": "1"}]}'),
    ("/v1/score", '{"pairs": [{"user": true, "item": "1"}]}'),
    ("/v1/score", '{"pairs": [{"user": "1", "item": "1", "title": "both"}]}'),
    ("/v1/score", '{"pairs": [{"user": "1"}]}'),
    ("/v1/score", f'{{"pairs": [{{"user": {10**30}, "item": "1"}}]}}'),
    ("/v1/score", '{"pairs": [{"user": "1", "item": "no such item"}]}'),
    ("/v1/rank", '{"user": "1"}'),
    ("/v1/rank", '{"user": "1", "liked": ["a"], "items": ["1"]}'),
    ("/v1/rank", '{"user": "1", "items": ["1", "1"]}'),
    ("/v1/rank", '{"user": "1", "items": ["1"], "k": 0}'),
    ("/v1/rank", '{"user": "1", "items": ["1"], "k": 1.5}'),
    ("/v1/rank", '{"liked": ["no such title at all"], "items": ["1"]}'),
    ("/v1/recommend", "{}"),
    ("/v1/recommend", '{"user": "1", "k": 50, "candidates": 5}'),
    ("/v1/recommend", '{"user": "1", "diversity": NaN}'),
    ("/v1/recommend", '{"user": "1", "diversity": -0.1}'),
    ("/v1/recommend", '{"user": "1", "wanted": 1}'),
    ("/v1/feedback", '{"user": "1", "item": "1", "kind": "love"}'),
    ("/v1/feedback", '{"user": "1", "item": "1", "kind": "like", "time": -1}'),
    ("/v1/feedback", '{"user": "1", "item": "1", "kind": "like", "time": 1e300}'),
    ("/v1/feedback", '{"user": "1", "item": "1", "kind": "like", "time": 99999999999999999999}'),
    ("/v1/feedback", '{"user": "1", "item": "no such item", "kind": "like"}'),
    ("/v1/feedback", '{"events": []}'),
    ("/v1/items", '{"item": "a", "title": "A", "metadata": {"year": NaN}}'),
    ("/v1/items", '{"item": "a", "title": "A", "metadata": {"time": 1}}'),
    ("/v1/items", '{"item": "a", "title": "A", "metadata": {"self": "b"}}'),
    ("/v1/items", '{"item": "a", "title": "A", "metadata": {"self": {"a": 1}}}'),
]


def test_bad_bodies_are_told_and_none_stops_the_service(serve: Serve) -> None:
    client = serve()
    headers = {"content-type": "application/json"}
    for path, body in BAD_BODIES:
        answer = client.post(path, content=body, headers=headers)
        assert answer.status_code == 422, (body, answer.text)
        assert answer.json()["error"] == "invalid"
    deep = "[" * 100_000
    assert client.post("/v1/score", content=deep, headers=headers).status_code in (400, 422)
    digits = '{"pairs": [{"user": ' + "9" * 10_000 + ', "item": "1"}]}'
    assert client.post("/v1/score", content=digits, headers=headers).status_code in (400, 422)
    assert client.post("/v1/score", content=b"\xff\xfe", headers=headers).status_code in (400, 422)
    plain = {"content-type": "text/plain"}
    assert client.post("/v1/score", content="{}", headers=plain).status_code == 422
    assert client.get("/v1/recommend", params={"user": "a\0"}).status_code == 422
    assert client.get("/v1/users/%00").status_code == 422
    assert client.get("/v1/users/..%2f..%2fetc%2fpasswd").status_code == 404
    assert client.get("/v1/recommend?user=1&k=nan").status_code == 422
    assert client.told("/v1/score", pairs=[{"user": USER, "item": ITEM}])["pairs"]
    assert client.get("/health/ready").status_code == 200


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "'; DROP TABLE events; --", "%s%n"])
def test_html_and_sql_are_text_like_any_other(serve: Serve, text: str) -> None:
    client = serve()
    client.told("/v1/items", item=text, title=text)
    client.told("/v1/feedback", user=text, item=text, kind="like", time=5)
    answer = client.get(f"/v1/items?q={text}")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.json()["items"][0]["title"] == text
    (row,) = list(client.service.store.export())
    assert (row["user"], row["item"]) == (text, text)


def test_what_is_too_much_is_refused(serve: Serve) -> None:
    client = serve(request_pairs=3, request_events=2, request_explained=1, body_bytes=2_000)
    pairs = [{"user": USER, "item": ITEM}] * 4
    wrong(client, "POST", "/v1/score", 413, json={"pairs": pairs})
    wrong(client, "POST", "/v1/rank", 413, json={"user": USER, "items": ["1", "2", "3", "4"]})
    body = {"user": USER, "items": ["1", "2"], "explain": True}
    wrong(client, "POST", "/v1/rank", 413, json=body)
    wrong(client, "POST", "/v1/recommend", 413, json={"user": USER, "candidates": 100})
    event = {"user": USER, "item": ITEM, "kind": "like"}
    wrong(client, "POST", "/v1/feedback", 413, json={"events": [event] * 3})
    problem = wrong(client, "POST", "/v1/items", 413, json={"item": "a", "title": "A" * 3_000})
    assert "2000 bytes" in problem["message"]
    stream = (b"x" * 500 for _ in range(10))
    wrong(client, "POST", "/v1/items", 413, content=stream)
    assert client.service.queue.sizes() == (0, 0)


# ---- what is said of the service


def test_every_route_has_examples_and_says_what_goes_wrong(serve: Serve) -> None:
    document = serve(ready=False).get("/openapi.json").json()
    routes = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if path.startswith("/v1")
    ]
    assert len(routes) == 13
    for path, method, operation in routes:
        assert {"200", "422", "429", "413", "503", "504"} <= set(operation["responses"]), path
        assert operation["summary"]
        if method in ("post", "put"):
            assert "example" in json.dumps(document["components"]["schemas"]), path
    for name in ("ScoreRequest", "RankRequest", "RecommendRequest", "FeedbackRequest", "NewItem"):
        assert document["components"]["schemas"][name]["examples"], name


def test_the_examples_of_the_document_work(serve: Serve) -> None:
    client = serve()
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    for name, path in (
        ("NewItem", "/v1/items"),
        ("ScoreRequest", "/v1/score"),
        ("RankRequest", "/v1/rank"),
        ("RecommendRequest", "/v1/recommend"),
        ("FeedbackRequest", "/v1/feedback"),
    ):
        for example in schemas[name]["examples"]:
            client.told(path, **example)


def test_info_tells_the_run_and_the_limits_and_no_place(serve: Serve) -> None:
    client = serve()
    text = client.get("/info").text
    info = json.loads(text)
    assert info["limits"]["queue_requests"] == 512
    assert info["store"] == "sqlite"
    assert info["run"]["system"] == "cora"
    assert str(client.service.settings.run.parent) not in text
    assert "store.sqlite" not in text


def test_what_another_process_wrote_is_known(serve: Serve) -> None:
    client = serve()
    before = client.told("/v1/score", pairs=[{"user": "u", "item": "2"}])["pairs"][0]["score"]
    client.service.store.write([Feedback([NewEvent("u", ITEM, "like", 5)])])
    after = client.told("/v1/score", pairs=[{"user": "u", "item": "2"}])["pairs"][0]["score"]
    assert after != before


def test_what_was_told_is_known_after_a_restart(serve: Serve) -> None:
    first = serve()
    first.told("/v1/items", item="new-1", title="The Quiet Comet (2031)")
    first.told("/v1/feedback", user="u", item=ITEM, kind="like", time=5)
    first.told("/v1/feedback", user="u", item="new-1", kind="like", time=6)
    pairs = [{"user": "u", "item": "2"}, {"user": "u", "item": "new-1"}]
    before = first.told("/v1/score", pairs=pairs)["pairs"]
    second = serve()
    after = second.told("/v1/score", pairs=pairs)["pairs"]
    assert [p["score"] for p in after] == pytest.approx([p["score"] for p in before], abs=1e-6)


LARGE = [
    ("/v1/score", "pairs", "{}"),
    ("/v1/feedback", "events", "{}"),
    ("/v1/rank", "items", "[]"),
    ("/v1/rank", "titles", "[]"),
    ("/v1/recommend", "liked", "[]"),
    ("/v1/recommend", "disliked", "[]"),
    ("/v1/recommend", "exclude", "[]"),
]


@pytest.mark.parametrize(("path", "name", "value"), LARGE)
def test_not_every_mistake_of_half_a_million_is_looked_for(
    serve: Serve, path: str, name: str, value: str
) -> None:
    client = serve(ready=False)
    content = f'{{"{name}": [{",".join([value] * 1_000)}]}}'
    problem = wrong(
        client, "POST", path, 422, content=content, headers={"content-type": "application/json"}
    )
    # With all of them half a million would hold up everybody for seconds.
    assert not [each for each in problem["details"] if f"{name}.1" in each["place"]]
    assert len(problem["details"]) < 10


def test_ids_and_titles_are_written_as_people_write(serve: Serve) -> None:
    client = serve()
    odd = [
        "\u6771\u4eac\u3000\u7269\u8a9e",
        "a\u00a0b",
        "\U0001f468\u200d\U0001f469",
        "a/b",
        "e\u0301",
        "100%",
        "?#&",
    ]
    for name in odd:
        client.told("/v1/items", item=f"item {name}", title=f"Title {name}")
        assert client.told("/v1/feedback", user=name, item=f"item {name}", kind="like")["new"] == 1
        (pair,) = client.told("/v1/score", pairs=[{"user": name, "item": f"item {name}"}])["pairs"]
        assert pair["item"] == f"item {name}"
        place = quote(name, safe="")
        events = client.get(f"/v1/users/{place}").json()["events"]
        assert [event["item"] for event in events] == [f"item {name}"]
        shown = client.get(f"/v1/items/{quote(f'item {name}', safe='')}")
        assert shown.json()["item"] == f"item {name}"
        assert client.delete(f"/v1/users/{place}").json()["events"] == 1
        assert client.delete(f"/v1/items/{quote(f'item {name}', safe='')}").status_code == 200


def test_what_is_acknowledged_of_an_item_counts(serve: Serve) -> None:
    client = serve()
    huge = {"item": "m", "title": "M", "metadata": {"genre": ["x" * 200] * 50}}
    assert "1,000 characters" in wrong(client, "POST", "/v1/items", 422, json=huge)["message"]
    client.told("/v1/items", **huge | {"metadata": {"genre": ["x" * 20] * 40}})
    client.told("/v1/score", pairs=[{"user": "1", "item": "m"}])


def test_a_mistake_in_one_event_is_told_as_one_of_an_event(serve: Serve) -> None:
    event = {"user": "u", "item": ITEM, "kind": "love"}
    problem = wrong(serve(), "POST", "/v1/feedback", 422, json=event)
    assert "events" not in problem["message"]
    assert "'like'" in problem["message"]


def test_health_is_told_by_head_too(serve: Serve) -> None:
    client = serve()
    assert client.head("/health/ready").status_code == 200
    assert client.head("/health/live").status_code == 200


def test_liked_items_are_named_by_whole_numbers_too(serve: Serve) -> None:
    client = serve()
    by_text = client.told("/v1/recommend", liked=["3", "5"], disliked=["7"], k=5)["items"]
    assert client.told("/v1/recommend", liked=[3, 5], disliked=[7], k=5)["items"] == by_text


def test_forgetting_somebody_whom_nobody_knows_leaves_no_row(serve: Serve) -> None:
    client = serve()
    for n in range(5):
        assert client.delete(f"/v1/users/nobody-{n}").status_code == 200
    assert client.service.store.counts()["users"] == 0
    assert client.delete("/v1/users/1").status_code == 200
    assert client.service.store.counts()["users"] == 1


def test_a_user_with_as_many_events_as_are_kept_is_told_so(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "MOST_TOLD", 2)
    client = serve()
    for n in range(2):
        client.told("/v1/feedback", user="u", item="3", kind="like", time=n)
    event = {"user": "u", "item": "3", "kind": "like", "time": 9}
    full = client.post("/v1/feedback", json=event)
    assert (full.status_code, full.json()["error"]) == (507, "too_many_events")
    assert client.put("/v1/feedback", json=event).status_code == 200
    assert len(client.get("/v1/users/u").json()["events"]) == 1

import html
import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from tests.serve.conftest import Serve, Served

from corarec.errors import DataError
from corarec.serve.middleware import FILES, SENDING, SHOWING
from corarec.serve.page import files, pages
from corarec.serve.page_forms import MOST_SAVED, forms
from corarec.serve.page_frame import POLICY, STATIC, environment

USER, ITEM = "1", "3"
HERE = {"origin": "http://localhost", "sec-fetch-site": "same-origin"}
ODD = [
    "<script>alert(1)</script>",
    "{{7*7}} {% raw %}",
    '" onload="x" \'',
    "x" * 300,
    "&amp; <b>",
]


def seen(client: Served, path: str, status: int = 200, **fields: Any) -> str:
    """Get a page and return its text."""
    answer = client.get(path, params=fields)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers.get_list("referrer-policy") == ["same-origin"]
    return answer.text


def sent(client: Served, path: str, headers: Mapping[str, str] = HERE, **fields: Any) -> Any:
    """Send a form as a browser does, and return the answer without following it."""
    return client.post(path, data=fields, headers=headers, follow_redirects=False)


def listed(text: str) -> list[str]:
    """Return the recommended items of a page, in order."""
    return re.findall(r'<li data-item="([^"]+)"', text)


def test_every_page_stands_where_the_door_lets_it_pass() -> None:
    assert {route.path for route in pages.routes} == set(SHOWING)  # type: ignore[attr-defined]
    assert {route.path for route in forms.routes} == set(SENDING)  # type: ignore[attr-defined]
    assert all(route.path.startswith(FILES) for route in files.routes)  # type: ignore[attr-defined]


def test_nothing_in_a_template_is_inline_or_from_elsewhere() -> None:
    made = environment()
    for name in made.list_templates():
        assert made.loader is not None
        text = made.loader.get_source(made, name)[0]
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|https?://|\|\s*safe", text), (
            name
        )
        assert not re.search(r"<script(?! src=)", text), name


def test_the_start_finds_people_and_titles_however_spelt(serve: Serve) -> None:
    client = serve()
    title = client.service.index.get(ITEM)
    assert title is not None
    typed = title[0][:3] + title[0][4:]
    text = seen(client, "/", q=typed)
    assert f'href="/new?liked={ITEM}"' in text
    assert f"<bdi>{html.escape(title[0])}</bdi>" in text
    assert 'href="/person?user=1"' in seen(client, "/", q="1")
    assert "No title is near" in seen(client, "/", q="qqqqzzzz")
    assert len(re.findall(r'class="chip"', seen(client, "/"))) > 3


def test_a_person_has_a_history_beside_the_list_of_the_api(serve: Serve) -> None:
    client = serve()
    text = seen(client, "/person", user=USER)
    told = client.get("/v1/recommend", params={"user": USER}).json()["items"]
    assert listed(text) == [row["item"] for row in told]
    assert f"{100 * told[0]['probability']:.1f}%" in text
    for row in told:
        known = row["candidate_rank"]
        assert row["cold"] is (known is None)
        assert known is None or f"CF {known} <" in text
    assert text.count(">cold</span>") == sum(row["cold"] for row in told)
    assert len(listed(seen(client, "/person", user=USER, k=20))) == 20


def test_what_is_said_changes_the_list_and_is_remembered(serve: Serve) -> None:
    client = serve()
    before = listed(seen(client, "/person", user="somebody"))
    assert len(before) == 10
    answer = sent(client, "/say", user="somebody", item=before[0], kind="like", k="20", q="")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/person?user=somebody&k=20"
    text = seen(client, "/person", user="somebody")
    after = listed(text)
    assert before[0] not in after
    assert "told here" in text
    # Another opinion takes the place of the first.
    sent(client, "/say", user="somebody", item=before[0], kind="dislike")
    events = client.get("/v1/users/somebody").json()["events"]
    assert [(event["item"], event["kind"]) for event in events] == [(before[0], "dislike")]
    found = seen(client, "/person", user="somebody", q=events[0]["title"])
    assert 'class="dislike"' in found
    assert found.count('aria-pressed="true"') == 1


def test_what_is_said_is_joined_to_the_list_that_was_shown(serve: Serve) -> None:
    client = serve()
    text = seen(client, "/person", user=USER)
    shown = re.findall(r'name="request_id" value="([^"]+)"', text)[0]
    sent(client, "/say", user=USER, item=listed(text)[2], kind="like", request_id=shown)
    (row,) = list(client.service.store.export())
    assert row["shown_rank"] == 3


def test_somebody_new_sees_the_list_change_with_each_pick(serve: Serve) -> None:
    client = serve()
    text = seen(client, "/new")
    offered = re.findall(r'name="liked" value="([^"]+)"', text)
    assert len(offered) == 12
    one = listed(seen(client, "/new", liked=offered[:1]))
    two = listed(seen(client, "/new", liked=offered[:2], disliked=[offered[3]]))
    assert len(one) == len(two) == 10
    assert offered[0] not in one
    assert one != two
    assert not set(offered[:2]) & set(two)
    told = client.told("/v1/recommend", liked=offered[:1])["items"]
    assert one == [row["item"] for row in told]


def test_somebody_new_with_an_item_that_is_gone_keeps_the_others(serve: Serve) -> None:
    client = serve()
    text = seen(client, "/new", liked=["no-such-item", ITEM])
    assert "no-such-item" in text
    assert len(listed(text)) == 10
    assert listed(seen(client, "/new", liked=["no-such-item"])) == []


def test_somebody_new_is_kept_under_an_id(serve: Serve) -> None:
    client = serve()
    answer = sent(client, "/say", user="ann b", liked=["3", "4"], disliked="5", keep="1")
    assert answer.headers["location"] == "/person?user=ann%20b"
    events = client.get("/v1/users/ann b").json()["events"]
    told = sorted((event["item"], event["kind"]) for event in events)
    assert told == [("3", "like"), ("4", "like"), ("5", "dislike")]
    assert 'href="/person?user=ann%20b"' in seen(client, "/")


def test_people_are_saved_in_the_browser_and_taken_out(serve: Serve) -> None:
    client = serve()
    for number in range(MOST_SAVED + 3):
        assert sent(client, "/keep", user=f"p|{number}; é").status_code == 303
    cookie = sent(client, "/keep", user="p").headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    text = seen(client, "/")
    assert text.index("user=p%7C14%3B%20%C3%A9") > text.index("user=p")
    assert "user=p%7C0%3B" not in text
    assert "Saved: take out" in seen(client, "/person", user="p")
    sent(client, "/keep", user="p", drop="1")
    assert "Save as an example" in seen(client, "/person", user="p")


def test_a_cookie_that_is_none_is_no_people(serve: Serve) -> None:
    client = serve()
    client.cookies.set("corarec_people", "%ff|%00|a%0a|ok|" + "x" * 500)
    text = seen(client, "/")
    assert re.findall(r'user=(\w+)"', text)[0] == "ok"


def test_an_item_is_explained_as_the_run_explains_it(serve: Serve) -> None:
    client = serve()
    run = client.service.engine.live.run
    told = run.explain(USER, ITEM)
    text = seen(client, "/why", user=USER, item=ITEM)
    assert f"<strong>{100 * told.probability:.1f}%</strong>" in text
    for effect in told.effects.to_dicts():
        assert f"{effect['effect_logit']:+.2f}".replace("-0.00", "+0.00") in text
    assert "with everything" in seen(client, "/why", liked=["3", "4"], item="5")


def test_an_explanation_is_no_list_that_was_shown(serve: Serve) -> None:
    client = serve()
    answer = client.get("/why", params={"user": USER, "item": ITEM})
    shown = answer.headers["x-request-id"]
    sent(client, "/say", user=USER, item=ITEM, kind="like", request_id=shown)
    (row,) = list(client.service.store.export())
    assert row["shown_rank"] is None


def test_text_alone_stands_beside_the_increment(serve: Serve) -> None:
    client = serve()
    text = seen(client, "/person", user=USER, beside="text")
    ours, other = text.split('id="order-B"')
    run = client.service.engine.live.run
    first = client.get("/v1/recommend", params={"user": USER}).json()["items"]
    assert [html.escape(row["title"]) for row in first] == re.findall(r"<bdi>(.+?)</bdi>", ours)[
        -10:
    ]
    titles = re.findall(r'class="title"><bdi>(.+?)</bdi>', other.partition("<aside")[0])
    assert len(titles) == 10
    frozen = run.explain(USER, first[0]["item"]).effects.filter(without="adapter")["probability"][0]
    assert f"{100 * frozen:.1f}%" in seen(client, "/person", user=USER, beside="text", k=40)
    assert "Text only" in seen(client, "/new", liked=[ITEM], beside="text")


def test_a_list_beside_the_text_alone_is_the_one_that_stands_alone(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve()
    live = client.service.engine.live
    # Of a run that learned to join its scores with what else says how items stand to a person.
    monkeypatch.setattr(
        live, "arranged", lambda items, scores, k, **_: np.argsort(scores, kind="stable")[:k]
    )
    alone = listed(seen(client, "/person", user=USER))
    ours = seen(client, "/person", user=USER, beside="text").split('id="order-B"')[0]
    assert re.findall(r'item=(\d+)[^"]*">Why', ours) == alone


def test_two_runs_stand_side_by_side_and_learn_the_same(serve: Serve, served_beside: Path) -> None:
    client = serve(beside=served_beside)
    text = seen(client, "/person", user=USER)
    assert f">Beside {served_beside.name}</a>" in text
    text = seen(client, "/person", user=USER, beside="run")
    ours, other = text.split('id="order-B"')
    first = client.get("/v1/recommend", params={"user": USER}).json()["items"]
    assert re.findall(r'item=(\d+)[^"]*">Why', ours) == [row["item"] for row in first]
    beside = client.service.beside
    assert beside is not None
    theirs = beside.live.recommend(USER)
    assert re.findall(r'item=(\d+)&amp;by=run[^"]*">Why', other) == [row.item for row in theirs]
    for row in theirs:
        assert f"{100 * row.probability:.1f}%" in other
    assert [row.item for row in theirs] != [row["item"] for row in first]
    told = beside.live.explain(USER, str(theirs[0].item))
    why = seen(client, "/why", user=USER, item=theirs[0].item, by="run")
    assert f"<strong>{100 * told.probability:.1f}%</strong>" in why
    assert served_beside.name in why
    # What is told counts in both, and what is forgotten goes from both.
    client.told("/v1/items", item="new-1", title="The Quiet Comet (2031)")
    sent(client, "/say", user="ann", item="new-1", kind="like")
    both = seen(client, "/person", user="ann", beside="run")
    assert [event.item for event in beside.live.known("ann").events] == ["new-1"]
    assert "Quiet Comet" not in both.partition("<aside")[0]
    assert sent(client, "/forget", user="ann").status_code == 303
    seen(client, "/person", user="ann", beside="run")
    with pytest.raises(DataError, match="Nobody knows"):
        beside.live.known("ann")
    new = seen(client, "/new", liked=[ITEM], beside="run")
    assert served_beside.name in new
    assert f"item={first[0]['item']}" in new
    about = client.get("/info").json()["run"]
    assert about["beside"]["name"] == served_beside.name


def test_without_another_run_none_is_offered_and_asking_for_it_says_how(serve: Serve) -> None:
    client = serve()
    assert "beside=run" not in seen(client, "/person", user=USER)
    text = seen(client, "/person", user=USER, beside="run")
    assert "--beside" in text
    assert len(listed(text)) == 10
    assert "--beside" in seen(client, "/why", 422, user=USER, item=ITEM, by="run")
    assert client.get("/info").json()["run"]["beside"] is None


def test_a_person_is_forgotten_after_a_second_thought(serve: Serve) -> None:
    client = serve()
    sent(client, "/say", user="ann é", item=ITEM, kind="like")
    sent(client, "/keep", user="ann é")
    text = seen(client, "/person", user="ann é")
    form = re.search(r'<details class="forget">.*?</details>', text, re.DOTALL)
    assert form
    assert 'action="/forget"' in form[0]
    answer = sent(client, "/forget", user="ann é")
    assert answer.headers["location"] == "/?forgotten=ann%20%C3%A9"
    start = seen(client, "/", forgotten="ann é")
    assert "Nothing is known of <bdi>ann é</bdi> any more" in start
    assert 'href="/person?user=ann' not in start
    assert client.get("/v1/users/ann é").status_code == 404
    text = seen(client, "/person", user="ann é")
    assert "Nobody is known by this id" in text
    assert 'action="/forget"' not in text
    assert list(client.service.store.export()) == []
    # One of the dataset is a stranger, too.
    assert "does not count any more" in seen(client, "/person", user=USER)
    sent(client, "/forget", user=USER)
    assert "Nobody is known by this id" in seen(client, "/person", user=USER)


def test_a_link_does_not_say_that_somebody_was_forgotten_who_is_known(serve: Serve) -> None:
    assert "any more" not in seen(serve(), "/", forgotten=USER)


def test_stars_of_the_dataset_stand_in_a_history(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve()
    live = client.service.engine.live
    known = live.known(USER)
    rated = [replace(event, stars=4.5) for event in known.events]
    monkeypatch.setattr(live, "known", lambda user: replace(known, events=rated))
    text = seen(client, "/person", user=USER)
    assert text.count('title="Rated 4.5"') == len(rated)
    assert client.get(f"/v1/users/{USER}").json()["events"][0]["stars"] == 4.5


def test_text_alone_is_not_there_where_nothing_can_be_switched_off(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve()
    recommender = client.service.engine.live.run.recommender
    monkeypatch.setattr(recommender, "frozen", lambda: None)
    text = seen(client, "/person", user=USER, beside="text")
    assert "nothing to put beside it" in text
    assert len(listed(text)) == 10


def test_titles_and_ids_are_text_and_nothing_else(serve: Serve) -> None:
    client = serve()
    for title in ODD:
        _is_text(client, title)


def _is_text(client: Served, title: str) -> None:
    item = title[:200]
    client.told("/v1/items", item=item, title=title)
    sent(client, "/say", user=item, item=item, kind="like")
    text = "".join(
        (
            seen(client, "/", q=title[:200]),
            seen(client, "/person", user=item, q=title[:200]),
            seen(client, "/new", liked=[item], q=title[:200]),
            seen(client, "/why", user=item, item=ITEM),
            seen(client, "/new", liked=[item + "?"]) if len(item) < 200 else "",
        )
    )
    assert title not in text or html.escape(title) == title
    assert str(html.escape(title).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")) in text
    links = [html.unescape(link) for link in re.findall(r'href="(/person[^"]+)"', text)]
    assert item in {parse_qs(urlsplit(link).query)["user"][0] for link in links}


def test_marks_of_direction_in_titles_of_the_dataset_are_shown_not_obeyed(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve()
    monkeypatch.setattr(client.service.index, "get", lambda item: ("a\u202eb", False))
    assert "a\\u202eb" in seen(client, "/new", liked=[ITEM])


UNASKABLE: list[tuple[str, dict[str, Any]]] = [
    ("/person", {}),
    ("/person", {"user": "a\nb"}),
    ("/person", {"user": "x" * 300}),
    ("/person", {"user": USER, "k": "0"}),
    ("/person", {"user": USER, "k": "nan"}),
    ("/person", {"user": USER, "beside": "<b>"}),
    ("/", {"forgotten": "a\nb"}),
    ("/why", {"item": ITEM, "user": USER, "by": "text"}),
    ("/", {"q": "x" * 300}),
    ("/new", {"liked": [str(n) for n in range(60)]}),
    ("/why", {"item": ITEM}),
    ("/why", {"item": "no-such", "user": USER}),
    ("/why", {"item": ITEM, "user": USER, "liked": ""}),
]


def test_what_cannot_be_asked_is_told_on_a_page(serve: Serve) -> None:
    client = serve()
    for path, fields in UNASKABLE:
        assert 'role="alert"' in seen(client, path, 422, **fields)
    assert client.get("/health/ready").status_code == 200


def test_a_name_that_is_too_long_is_told_in_characters(serve: Serve) -> None:
    client = serve()
    text = seen(client, "/person", 422, user="x" * 10_000)
    assert "at most 200 characters" in text
    assert "xxx" not in text
    answer = client.get("/v1/recommend", params={"user": "x" * 10_000})
    assert "at most 200 characters" in answer.json()["message"]


UNSAYABLE: list[dict[str, Any]] = [
    {},
    {"user": USER, "item": ITEM},
    {"user": USER, "item": ITEM, "kind": "love"},
    {"user": USER, "item": "no-such", "kind": "like"},
    {"user": "", "item": ITEM, "kind": "like"},
    {"user": USER, "item": ITEM, "kind": "like", "request_id": "<>"},
]


def test_what_cannot_be_said_is_told_on_a_page(serve: Serve) -> None:
    client = serve()
    for fields in UNSAYABLE:
        answer = sent(client, "/say", **fields)
        assert answer.status_code == 422
        assert 'role="alert"' in answer.text
    assert list(client.service.store.export()) == []


NO_FORMS = [
    (b"user=%ff&item=3&kind=like", "application/x-www-form-urlencoded"),
    ("user=é".encode(), "application/x-www-form-urlencoded"),
    (b"&".join([b"a=1"] * 1000), "application/x-www-form-urlencoded"),
    (b'{"user": "1"}', "application/json"),
    (b"user=1&item=3&kind=like", "text/plain"),
]


def test_what_is_no_form_is_refused(serve: Serve) -> None:
    client = serve()
    for content, kind in NO_FORMS:
        answer = client.post("/say", content=content, headers=HERE | {"content-type": kind})
        assert answer.status_code == 422


FOREIGN: list[dict[str, str]] = [
    {},
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": "http://localhost:9999"},
    {"origin": "http://localhost", "sec-fetch-site": "cross-site"},
    {"origin": "http://localhost", "sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"},
]


def test_forms_of_other_sites_are_refused(serve: Serve) -> None:
    client = serve()
    for path, headers in product(SENDING, FOREIGN):
        answer = sent(client, path, headers, user=USER, item=ITEM, kind="like")
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
    assert list(client.service.store.export()) == []


def test_a_browser_that_tells_only_the_origin_may_send_forms(serve: Serve) -> None:
    client = serve()
    answer = sent(client, "/say", {"origin": "http://localhost"}, user="u", item="3", kind="like")
    assert answer.status_code == 303


@pytest.fixture
def guarded(serve: Serve, tmp_path: Any) -> tuple[Served, str, str]:
    """Return a service with keys, one that may read and one that may write."""
    from corarec.serve.keys import add_key

    file = tmp_path / "keys"
    read, write = add_key(file, "r", "read"), add_key(file, "w", "write")
    return serve(keys=file), read, write


def test_a_key_is_asked_for_and_kept_where_no_script_reads_it(
    guarded: tuple[Served, str, str],
) -> None:
    client, read, _ = guarded
    for path in SHOWING:
        text = seen(client, path, 401, user=USER, item=ITEM)
        assert 'type="password"' in text
        assert not listed(text)
    for path in SENDING:
        if path != "/sign-in":
            assert sent(client, path, user=USER, item=ITEM, kind="like").status_code == 401
    assert "not one of" in sent(client, "/sign-in", key="corarec_wrong").text
    assert sent(client, "/sign-in", key="corarec_wrong").status_code == 401
    answer = sent(client, "/sign-in", key=read)
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie
    assert len(listed(seen(client, "/person", user=USER))) == 10
    forwarded = sent(client, "/sign-in", HERE | {"x-forwarded-proto": "https"}, key=read)
    assert "Secure" in forwarded.headers["set-cookie"]


def test_a_key_that_may_only_read_says_nothing(guarded: tuple[Served, str, str]) -> None:
    client, read, write = guarded
    sent(client, "/sign-in", key=read)
    text = seen(client, "/person", user=USER)
    assert "may only read" in text
    assert " disabled" in text
    assert sent(client, "/say", user=USER, item=ITEM, kind="like").status_code == 403
    assert sent(client, "/forget", user=USER).status_code == 403
    assert client.service.engine.live.known(USER).events
    sent(client, "/sign-in", key=write)
    assert sent(client, "/say", user=USER, item=ITEM, kind="like").status_code == 303
    assert sent(client, "/sign-out").headers["location"] == "/sign-in"
    assert client.get("/person", params={"user": USER}).status_code == 401


def test_the_cookie_with_the_key_opens_no_route_of_the_api(
    guarded: tuple[Served, str, str],
) -> None:
    # A page of another site can make a browser send cookies; a header it cannot.
    client, _, write = guarded
    sent(client, "/sign-in", key=write)
    assert client.get("/v1/users").status_code == 401
    body = {"user": USER, "item": ITEM, "kind": "like"}
    assert client.post("/v1/feedback", json=body).status_code == 401


def test_while_the_run_is_opened_pages_say_so(serve: Serve) -> None:
    import threading

    gate = threading.Event()

    def load() -> Any:
        gate.wait(20)
        raise RuntimeError("never")

    client = serve(ready=False, load=load)
    try:
        for path in ("/", "/person", "/new", "/why"):
            text = seen(client, path, 503, user=USER, item=ITEM, liked=[ITEM])
            assert 'http-equiv="refresh"' in text
        assert sent(client, "/say", user=USER, item=ITEM, kind="like").status_code == 503
        assert "Not ready" in seen(client, "/status")
    finally:
        gate.set()


def test_what_fails_here_is_told_on_a_page(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    client = serve()

    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(client.service.index, "search", fail)
    text = seen(client, "/", 500, q="x")
    assert "secret" not in text


def test_a_full_queue_is_told_with_when_to_try_again(serve: Serve) -> None:
    client = serve(queue_requests=1)
    from corarec.serve.problems import Problem

    def full(*_: Any, **__: Any) -> Any:
        raise Problem(429, "queue_full", "Full.", retry_after=3)

    client.service.queue.submit = full  # type: ignore[method-assign]
    answer = client.get("/person", params={"user": USER})
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "3"
    assert "Full." in answer.text


def test_files_are_those_of_the_package_and_no_others(serve: Serve) -> None:
    client = serve()
    for name in STATIC:
        answer = client.get(f"/static/{name}")
        assert answer.status_code == 200
        assert answer.headers.get_list("cache-control") == ["public, max-age=31536000, immutable"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    for name in ("page.py", "..%2fpage.py", "%2e%2e/page.py", ""):
        assert client.get(f"/static/{name}").status_code == 404


def test_pages_stand_in_no_description_of_the_api(serve: Serve) -> None:
    paths = serve().get("/openapi.json").json()["paths"]
    assert all(path.startswith(("/v1/", "/health/", "/metrics", "/info")) for path in paths)

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.serve.conftest import Serve, Served, live_of, serve

import corarec
from corarec.errors import ConfigError, DataError, ServiceError

__all__ = ["live_of", "serve"]  # fixtures

METHODS = {
    "POST /v1/score": "score",
    "POST /v1/rank": "rank",
    "POST /v1/recommend": "recommend",
    "POST /v1/feedback": "feedback",
    "PUT /v1/feedback": "feedback",
    "GET /v1/items": "items",
    "POST /v1/items": "add_item",
    "GET /v1/items/{item}": "item",
    "DELETE /v1/items/{item}": "remove_item",
    "GET /v1/users": "users",
    "GET /v1/users/{user}": "user",
    "DELETE /v1/users/{user}": "forget_user",
    "GET /info": "info",
    "GET /health/ready": "ready",
}
LEFT_OUT = {
    "GET /v1/recommend": "POST says more",
    "GET /health/live": "for whoever starts the process anew",
    "GET /metrics": "for Prometheus",
}
OTHERWISE = {
    "POST /v1/score": {"pairs"},
    "POST /v1/rank": {"explain"},
    "POST /v1/feedback": {"idempotency-key"},
    "PUT /v1/feedback": {"idempotency-key"},
}
"""Fields that have another form: a frame; a method of its own; made up by the client."""


def asking(served: Served, **options: Any) -> corarec.Client:
    """Return a client whose requests go to a service in this process."""

    def bridge(request: httpx.Request) -> httpx.Response:
        answer = served.request(
            request.method,
            str(request.url.copy_with(scheme="http", host="localhost", port=None)),
            content=request.content,
            headers=dict(request.headers) | {"host": "localhost"},
        )
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    return corarec.Client("http://localhost", transport=httpx.MockTransport(bridge), **options)


@pytest.fixture
def served(serve: Serve) -> Served:
    return serve()


@pytest.fixture
def client(served: Served) -> Iterator[corarec.Client]:
    with asking(served) as opened:
        yield opened


def properties(document: dict[str, Any], operation: dict[str, Any]) -> set[str]:
    """Return the names that an operation takes, in its address or its body."""
    names = {each["name"] for each in operation.get("parameters", [])}
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        for one in schema.get("oneOf", [schema]):
            found = document["components"]["schemas"][one["$ref"].rpartition("/")[2]]
            names |= set(found["properties"])
    return names


def test_every_route_has_a_method_with_the_names_of_its_fields(served: Served) -> None:
    document = served.get("/openapi.json").json()
    routes = {
        f"{method.upper()} {path}": operation
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert set(routes) == METHODS.keys() | LEFT_OUT.keys()
    for route, name in METHODS.items():
        taken = set(inspect.signature(getattr(corarec.Client, name)).parameters)
        wanted = properties(document, routes[route]) - OTHERWISE.get(route, set()) - {"events"}
        assert wanted <= taken, (route, wanted - taken)


def test_it_has_the_methods_of_a_run_with_the_same_first_parameters() -> None:
    for name in ("score", "recommend", "explain", "score_title"):
        ours = inspect.signature(getattr(corarec.Client, name)).parameters
        theirs = inspect.signature(getattr(corarec.Run, name)).parameters
        assert {each for each in theirs if each != "progress"} <= set(ours), name


def test_scores_are_those_of_the_run(served: Served, client: corarec.Client) -> None:
    pairs = pl.DataFrame({"user": [1, 2, 1], "item": ["3", "4", "5"], "more": [0.5, 1.5, 2.5]})
    run = served.service.engine.live.run
    assert_frame_equal(client.score(pairs), run.score(pairs), abs_tol=1e-5, check_exact=False)
    none = client.score(pairs.head(0))
    assert none.columns == ["user", "item", "more", "score", "probability"]
    assert client.score_title("1", "Foo") == pytest.approx(run.score_title("1", "Foo"), abs=1e-6)


def test_more_pairs_and_events_than_go_into_a_request_go_in_parts(serve: Serve) -> None:
    served = serve(request_pairs=2, request_events=2)
    client = asking(served)
    pairs = pl.DataFrame({"user": ["1"] * 5, "item": ["1", "2", "3", "4", "5"]})
    run = served.service.engine.live.run
    assert_frame_equal(client.score(pairs), run.score(pairs), abs_tol=1e-5, check_exact=False)
    events = pairs.with_columns(kind=pl.lit("seen"), time=pl.lit(7))
    assert client.feedback_frame(events) == 5
    assert client.feedback_frame(events) == 0


def test_a_list_has_the_columns_of_a_runs_and_is_joined_to_what_follows(
    served: Served, client: corarec.Client
) -> None:
    mine = served.service.engine.live.run.recommend("1", k=4)
    found = client.recommend(1, k=4)
    assert found.columns[: len(mine.columns)] == mine.columns
    assert [found.schema[name] for name in mine.columns] == list(mine.schema.values())
    assert found["probability"].is_sorted(descending=True)
    rank, item, shown = found.select("rank", "item", "request_id").row(2)
    assert client.feedback("1", item, "like", time=5, request_id=shown) is True
    assert client.feedback("1", item, "like", time=5) is False
    (row,) = list(served.service.store.export())
    assert row["shown_rank"] == rank == 3
    assert item not in client.recommend(1, k=40)["item"]
    assert len(client.recommend(liked="3", disliked=["4"], k=2, exclude=["5"], diversity=0.5)) == 2
    assert client.recommend(1, filter={"added_only": True}).height == 0


def test_own_candidates_and_reasons(served: Served, client: corarec.Client) -> None:
    ranked = client.rank("1", ["1", "2", "3"], titles=["Foo"], exclude=["2"], k=3)
    assert set(ranked["item"].to_list()) == {"1", "3", None}
    mine = served.service.engine.live.explain("1", "3")
    told = client.explain("1", "3")
    assert_frame_equal(told.effects, mine.effects, abs_tol=1e-5, check_exact=False)
    assert (told.title, told.not_applicable) == (mine.title, mine.not_applicable)
    assert client.explain(liked=["3"], title="Foo").item is None


def test_items_and_people(client: corarec.Client) -> None:
    assert client.add_item("a b#?%", "The Quiet Comet", {"year": 2031}) is True
    assert client.add_item("a b#?%", "The Quiet Comet", {"year": 2031}) is False
    assert client.item("a b#?%")["metadata"] == {"year": 2031}
    assert client.items("quite comet")["item"][0] == "a b#?%"
    client.feedback("new one", "a b#?%", "dislike", time=5)
    client.feedback("new one", "a b#?%", "like", time=6, overwrite=True)
    assert client.user("new one").select("item", "kind", "time").rows() == [("a b#?%", "like", 6)]
    assert client.users("new o") == ["new one"]
    assert client.forget_user("new one") == 1
    client.remove_item("a b#?%")
    assert client.items().is_empty()
    assert client.info()["limits"]["request_pairs"] == 1000
    assert client.ready() is True


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda c: c.recommend("1", k=0), "k"),
        (lambda c: c.recommend(), "either a user"),
        (lambda c: c.recommend("1", liked=["3"]), "not both"),
        (lambda c: c.recommend("1", diversity=float("nan")), "JSON"),
        (lambda c: c.recommend("1", exclude=[object()]), "JSON"),
        (lambda c: c.explain("1"), "item or a title"),
        (lambda c: c.user("nobody-at-all"), "nobody-at-all"),
        (lambda c: c.item("a//b"), "address"),
        (lambda c: c.item("a/../b"), "address"),
        (lambda c: c.forget_user(".."), "address"),
        (lambda c: c.add_item("3", "Mine"), "one of the dataset"),
        (lambda c: c.score(pl.DataFrame({"user": ["1"]})), "no column item"),
        (lambda c: c.score(pl.DataFrame({"user": ["1"], "item": [None]})), "no item"),
        (lambda c: c.score(pl.DataFrame({"user": ["1"], "item": [0.5]})), "Float64"),
        (lambda c: c.score(pl.DataFrame({"user": ["1"], "item": ["3"], "score": [1]})), "Drop it"),
        (lambda c: c.score(pl.DataFrame({"user": ["1"], "item": ["no-such"]})), "no-such"),
    ],
)
def test_mistakes_are_told_in_the_words_of_the_service(
    client: corarec.Client, ask: Callable[[corarec.Client], Any], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        ask(client)


def test_a_key_is_sent_and_never_shown(serve: Serve, tmp_path: Any) -> None:
    from corarec.serve.keys import add_key

    key = add_key(tmp_path / "keys", "r", "read")
    served = serve(keys=tmp_path / "keys")
    with pytest.raises(ConfigError, match="API key is wanted"):
        asking(served).users()
    client = asking(served, key=key)
    assert client.users()
    assert key not in repr(client)
    with pytest.raises(ConfigError, match="may only read"):
        client.feedback("1", "3", "like")
    for wrong in ("schlüssel-€", "a\nb: c", " padded"):
        with pytest.raises(ConfigError, match="key") as error:
            corarec.Client("http://x", wrong)
        assert wrong not in str(error.value)


def losing(served: Served, *faults: BaseException | int) -> tuple[corarec.Client, list[Any]]:
    """Return a client whose first answers are lost behind the service, or of another status."""
    bridge = asking(served)._connection._http._transport
    left, keys = list(faults), []

    def lossy(request: httpx.Request) -> httpx.Response:
        answer = bridge.handle_request(request)
        keys.append(request.headers.get("idempotency-key"))
        fault = left.pop(0) if left else 200
        if isinstance(fault, BaseException):
            raise fault
        return answer if fault == 200 else httpx.Response(fault, json={"message": "Late."})

    client = corarec.Client("http://localhost", transport=httpx.MockTransport(lossy))
    client._connection.sleep = lambda seconds: None
    return client, keys


def test_feedback_whose_answer_is_lost_is_sent_again_and_counts_once(served: Served) -> None:
    faults = httpx.RemoteProtocolError("gone"), httpx.ConnectError("refused"), 504
    client, keys = losing(served, *faults)
    assert client.feedback("u", "3", "like") is True
    assert len(set(keys)) == 1
    assert len(keys) == 4
    assert len(list(served.service.store.export())) == 1
    assert client.feedback("u", "4", "like", overwrite=True) is True
    assert len(set(keys)) == 2


def test_what_has_no_key_is_not_sent_again_where_its_answer_is_lost(served: Served) -> None:
    client, keys = losing(served, httpx.RemoteProtocolError("gone"))
    with pytest.raises(ServiceError, match="gone"):
        client.add_item("new", "New")
    assert keys == [None]


def test_the_lines_of_the_page_run(client: corarec.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "serving.md").read_text("utf-8")
    (lines,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.setattr(corarec, "Client", lambda url: client)
    names: dict[str, Any] = {}
    exec(lines, names)
    assert names["shown"].height == 5
    assert client.user(17)["live"][0] is True

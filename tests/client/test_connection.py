from typing import Any

import httpx
import pytest

import corarec
from corarec.errors import ConfigError, ServiceError


def answering(*answers: httpx.Response, **options: Any) -> tuple[corarec.Client, list[float]]:
    """Return a client of a service with these answers, and how long it waits between them."""
    left, waits = list(answers), list[float]()
    transport = httpx.MockTransport(lambda _: left.pop(0))
    client = corarec.Client("http://x", transport=transport, **options)
    client._connection.sleep = waits.append
    return client, waits


def test_a_busy_service_is_waited_for_as_long_as_it_asks() -> None:
    busy = httpx.Response(429, headers={"retry-after": "2"}, json={"message": "Full."})
    away = httpx.Response(503, json={"message": "Loading."})
    client, waits = answering(busy, away, httpx.Response(200, json={"users": ["1"]}))
    assert client.users() == ["1"]
    assert waits == [2.0, 1.0]


@pytest.mark.parametrize(
    "after", ["inf", "nan", "-5", "1e400", "soon", "Wed, 21 Oct 2015 07:28 GMT"]
)
def test_it_does_not_wait_for_ever(after: str) -> None:
    busy = [
        httpx.Response(429, headers={"retry-after": after}, json={"message": "Full."})
        for _ in range(100)
    ]
    client, waits = answering(*busy, retry_seconds=5)
    with pytest.raises(ServiceError, match="Full"):
        client.users()
    assert 0 < sum(waits) <= 5
    assert min(waits) > 0


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx.Response(500, json={"message": "It failed \x1b[31m."}), r"\\x1b"),
        (httpx.Response(502, text="<html>"), "502 and no reason"),
        (httpx.Response(404, text="nginx"), "404 and no reason"),
        (httpx.Response(302, headers={"location": "http://y"}), "302"),
        (httpx.Response(200, text="<html>"), "not as a corarec service"),
        (httpx.Response(200, json=[1]), "not as a corarec service"),
    ],
)
def test_what_is_no_answer_of_a_service_is_told(answer: httpx.Response, words: str) -> None:
    client, waits = answering(answer)
    with pytest.raises(ServiceError, match=words):
        client.users()
    assert waits == []


def test_a_service_that_is_not_there_is_told() -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused")

    client = corarec.Client("http://x", transport=httpx.MockTransport(refuse))
    with pytest.raises(ServiceError, match="Connection refused"):
        client.users()
    assert client.ready() is False


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "ftp://x", "http://", 5, None])
def test_an_address_that_is_none_is_refused(url: Any) -> None:
    with pytest.raises(ConfigError, match="address"):
        corarec.Client(url)


@pytest.mark.parametrize(
    "options", [{"timeout": 0}, {"timeout": float("nan")}, {"retry_seconds": -1}]
)
def test_times_that_are_none_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="seconds"):
        corarec.Client("http://x", **options)

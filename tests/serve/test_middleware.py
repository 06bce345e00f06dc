import asyncio
import logging
import re
from typing import Any

import pytest
from tests.serve.conftest import Serve

from corarec.serve.keys import Keys
from corarec.serve.metrics import Metrics
from corarec.serve.middleware import Door
from corarec.serve.settings import ServeSettings


def test_a_request_keeps_its_id_where_that_is_one(serve: Serve) -> None:
    client = serve(ready=False)
    given = client.get("/health/live", headers={"x-request-id": "abc-1.2_3"})
    assert given.headers["x-request-id"] == "abc-1.2_3"
    for odd in ("a b", "x" * 65, "é", "<script>"):
        made = client.get("/health/live", headers={b"x-request-id": odd.encode("latin-1")})
        assert len(made.headers["x-request-id"]) == 32


def test_a_log_line_tells_the_route_and_nobody(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    client = serve()
    with caplog.at_level(logging.INFO, "corarec.serve"):
        client.get("/v1/users/mallory-17")
        client.get("/v1/recommend", params={"user": "mallory-17"})
    lines = [record.corarec_fields for record in caplog.records if record.message == "request"]  # type: ignore[attr-defined]
    assert [line["route"] for line in lines] == ["/v1/users/{user}", "/v1/recommend"]
    assert [line["status"] for line in lines] == [404, 200]
    assert lines[0]["milliseconds"] > 0
    assert "mallory" not in caplog.text + str(lines)


def test_methods_that_a_client_makes_up_are_counted_as_one(serve: Serve) -> None:
    client = serve(ready=False)
    for method in ("GET", "BREW", "brew", "GeT", "QUERY"):
        client.request(method, "/health/live")
    counted = re.findall(r'corarec_requests_total\{method="([^"]+)"', client.get("/metrics").text)
    assert set(counted) == {"GET", "?"}


def test_other_hosts_and_other_origins_are_not_answered(serve: Serve) -> None:
    client = serve()
    assert client.get("/info", headers={"host": "evil.example"}).status_code == 421
    # A probe comes by address, and health tells nothing of anybody.
    assert client.get("/health/live", headers={"host": "10.1.2.3:8000"}).status_code == 200
    for host in ("localhost:8000", "127.0.0.1", "[::1]:80", "LOCALHOST"):
        assert client.get("/info", headers={"host": host}).status_code == 200
    asked = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    for answer in (client.options("/v1/score", headers=asked), client.get("/info", headers=asked)):
        assert not [name for name in answer.headers if name.startswith("access-control")]
    named = serve(allow_hosts=["shop.example"], allow_origins=["https://shop.example"])
    asked = {"host": "shop.example", "origin": "https://shop.example"}
    answer = named.get("/info", headers=asked)
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    other = named.get("/info", headers=asked | {"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers
    assert serve(host="0.0.0.0").get("/info", headers={"host": "any"}).status_code == 200


def through(door: Door, messages: list[dict[str, Any]], wait: float = 0.0) -> list[dict[str, Any]]:
    """Send messages through the door, the last after a while, and return what comes out."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if len(messages) == 1:
            await asyncio.sleep(wait)
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/score", "headers": []}
    asyncio.run(door(scope, receive, send))
    return sent


def door(app: Any, **limits: Any) -> Door:
    settings = ServeSettings.parse({"run": "x", "allow_hosts": [""], **limits}, "the test")
    return Door(app, settings=settings, keys=Keys(None), metrics=Metrics())


async def echo(scope: Any, receive: Any, send: Any) -> None:
    body = (await receive())["body"]
    after = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body + after["type"].encode()})


def part(body: bytes, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_body_in_parts_comes_whole_and_then_that_the_client_goes() -> None:
    parts = [part(b"ab", True), part(b"cd", False), {"type": "http.disconnect"}]
    assert through(door(echo), parts)[-1]["body"] == b"abcdhttp.disconnect"


def test_a_slow_body_is_not_waited_for() -> None:
    parts = [part(b"ab", True), part(b"cd", False)]
    sent = through(door(echo, body_seconds=0.05), parts, wait=5)
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


def test_a_body_without_end_is_not_kept() -> None:
    parts = [part(b"x" * 1_000, True) for _ in range(10)]
    sent = through(door(echo, body_bytes=2_500), parts)
    assert sent[0]["status"] == 413
    assert len(parts) == 7


def test_bodies_that_fill_the_memory_are_refused_and_their_room_is_free_again() -> None:
    asked = door(echo, body_bytes=2_000, bodies_bytes=2_500)

    async def hold() -> list[list[dict[str, Any]]]:
        release = asyncio.Event()

        async def one(size: int, *, slow: bool) -> list[dict[str, Any]]:
            messages = [part(b"x" * size, slow), part(b"", False), {"type": "http.disconnect"}]
            sent: list[dict[str, Any]] = []

            async def receive() -> dict[str, Any]:
                if slow and len(messages) == 2:
                    await release.wait()
                return messages.pop(0)

            async def send(message: Any) -> None:
                sent.append(message)

            scope = {"type": "http", "method": "POST", "path": "/v1/score", "headers": []}
            await asked(scope, receive, send)
            return sent

        slow = asyncio.create_task(one(1_900, slow=True))
        await asyncio.sleep(0)
        beyond, small = await one(700, slow=False), await one(500, slow=False)
        release.set()
        return [await slow, beyond, small, await one(1_900, slow=False)]

    answers = asyncio.run(hold())
    assert [each[0]["status"] for each in answers] == [200, 429, 200, 200]
    assert (b"retry-after", b"1") in answers[1][0]["headers"]
    assert (b"connection", b"close") in answers[1][0]["headers"]


def test_a_client_that_goes_before_its_body_is_no_request() -> None:
    assert through(door(echo), [part(b"x", True), {"type": "http.disconnect"}]) == []


def test_what_breaks_is_told_with_its_id_alone() -> None:
    async def breaks(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("the secret of the house")

    sent = through(door(breaks), [part(b"", False)])
    assert sent[0]["status"] == 500
    assert b"secret" not in sent[1]["body"]
    assert b"request_id" in sent[1]["body"]

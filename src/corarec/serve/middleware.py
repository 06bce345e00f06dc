"""What every request passes on its way in and out: name, host, key, size, time, log line."""

import asyncio
import json
import logging
import re
import time
import uuid

from corarec.extras import needs

with needs("serve"):
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

from corarec.serve.keys import Keys
from corarec.serve.logs import tell
from corarec.serve.metrics import Metrics
from corarec.serve.problems import Problem, too_large
from corarec.serve.settings import ServeSettings

log = logging.getLogger(__name__)

REQUEST_ID = "x-request-id"
_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
OPEN = ("/health/live", "/health/ready", "/openapi.json")
"""What needs no key."""
SHOWING = ("/", "/person", "/new", "/why", "/status")
SENDING = ("/say", "/keep", "/forget", "/sign-in", "/sign-out")
PAGES = SHOWING + SENDING
"""What looks for a key in its own cookie: a browser cannot be told to send a header."""
FILES = "/static/"
READS = {"GET", "HEAD", "OPTIONS"}
METHODS = READS | {"POST", "PUT", "DELETE", "PATCH"}
ASKING = ("/v1/score", "/v1/rank", "/v1/recommend")
"""What is asked with POST and changes nothing that a client can see."""
UNMATCHED = "unmatched"


class Door:
    """The outermost layer: ids, checks and limits before the routes, a log line after them.

    Plain ASGI, so that a route still hears when its client goes away.
    """

    def __init__(
        self, app: ASGIApp, *, settings: ServeSettings, keys: Keys, metrics: Metrics
    ) -> None:
        self._app = app
        self._settings = settings
        self._keys = keys
        self._metrics = metrics
        self._held = 0
        """Bytes of the bodies of all requests in hand."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()
        headers = _headers(scope)
        given = headers.get(REQUEST_ID, "")
        request_id = given if _GIVEN_ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})
        scope["state"]["request_id"] = request_id
        scope["state"]["deadline"] = started + self._settings.deadline_seconds
        status = 0
        begun = False
        body: list[bytes] = []

        async def answer(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                there = {name.lower() for name, _ in message["headers"]}
                added = [each for each in _safe(request_id) if each[0] not in there]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        try:
            self._admit(scope, headers)
            if await self._read(body, headers, receive):
                await self._app(scope, _replayed(body[0], receive), answer)
        except Problem as problem:
            if not begun:
                await _send(problem, request_id, answer)
        except Exception:
            log.exception("a request failed", extra={"corarec_fields": {"request_id": request_id}})
            if not begun:
                await _send(broken(request_id), request_id, answer)
        finally:
            self._held -= sum(map(len, body))
            self._count(scope, status, request_id, time.monotonic() - started)

    def _admit(self, scope: Scope, headers: dict[str, str]) -> None:
        """See that the service is asked by one of its names and with a key that may do this."""
        path, method = scope["path"], scope["method"]
        hosts = self._settings.hosts
        host = _name_of(headers.get("host", ""))
        # Probes come by address, wherever the service runs, and health tells nothing of anybody.
        if hosts and host not in hosts and not path.startswith("/health/"):
            raise Problem(
                421,
                "unknown_host",
                f"The Host header names {host!r:.80}, and this service answers as "
                f"{', '.join(hosts)}. Start it with --allow-host NAME to be asked by another name.",
            )
        if not self._keys.wanted or path in (*OPEN, *PAGES) or path.startswith(FILES):
            return
        may = self._keys.kind(_key(headers))
        if may is None:
            raise Problem(
                401,
                "key_wanted",
                "An API key is wanted: send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`.",
            )
        reads = method in READS or (method == "POST" and path.rstrip("/") in ASKING)
        if may == "read" and not reads:
            raise Problem(
                403, "key_may_only_read", "This key may only read; this needs one that may write."
            )

    async def _read(self, body: list[bytes], headers: dict[str, str], receive: Receive) -> bool:
        """Read a body into one piece, within the limits; false: the client went away."""
        most, seconds = self._settings.body_bytes, self._settings.body_seconds
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length[:20]) > most:
            raise _body_too_large(most)
        size = 0
        try:
            async with asyncio.timeout(seconds):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        return False
                    part = message.get("body", b"")
                    body.append(part)
                    size += len(part)
                    self._held += len(part)
                    if size > most:
                        raise _body_too_large(most)
                    if self._held > max(most, self._settings.bodies_bytes):
                        self._metrics.refused.inc()
                        raise _too_many_bodies()
                    if not message.get("more_body", False):
                        body[:] = [b"".join(body)]
                        return True
        except TimeoutError:
            raise Problem(
                408, "body_too_slow", f"The body did not arrive within {seconds:g} seconds."
            ) from None

    def _count(self, scope: Scope, status: int, request_id: str, seconds: float) -> None:
        route = getattr(scope.get("route"), "path_format", UNMATCHED)
        # A client may make up methods without end, and each would be counted for good.
        method = scope["method"] if scope["method"] in METHODS else "?"
        self._metrics.requests.labels(method, route, str(status or "gone")).inc()
        self._metrics.request_seconds.labels(route).observe(seconds)
        quiet = route.startswith(("/health", "/metrics")) and status == 200
        tell(
            log,
            logging.DEBUG if quiet else logging.INFO,
            "request",
            request_id=request_id,
            method=method,
            route=route,
            status=status or None,
            milliseconds=round(1000 * seconds, 1),
        )


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return what gives the body, and from then on whatever comes: that the client goes away."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def _name_of(host: str) -> str:
    """Return the name in a Host header, without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _key(headers: dict[str, str]) -> str:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")


def _safe(request_id: str) -> list[tuple[bytes, bytes]]:
    return [
        (REQUEST_ID.encode(), request_id.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
        (b"referrer-policy", b"no-referrer"),
        (b"x-frame-options", b"DENY"),
    ]


def _body_too_large(most: int) -> Problem:
    return too_large(f"The body has more than {most} bytes. Send less in one request.")


def _too_many_bodies() -> Problem:
    return Problem(
        429,
        "bodies_full",
        "The bodies of the requests in hand fill the memory that is set aside for them. Try again "
        "later.",
        retry_after=1,
    )


def broken(request_id: str) -> Problem:
    """Return the problem of a request that failed here."""
    return Problem(
        500,
        "internal",
        f"This request failed here, and the log says why beside its id, {request_id}. Others are "
        "not touched.",
    )


async def _send(problem: Problem, request_id: str, send: Send) -> None:
    body = json.dumps(problem.body(request_id)).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body))}
    headers |= problem.headers()
    if problem.status in (408, 413, 429):
        headers["connection"] = "close"  # what is left of the body is not read
    if problem.status == 401:
        headers["www-authenticate"] = "Bearer"
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})

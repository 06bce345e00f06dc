"""What every page shares: its frame, who may see it, where forms may come from, what goes wrong."""

import hashlib
import logging
import mimetypes
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from corarec import __version__
from corarec.extras import needs
from corarec.serve.answers import id_of, service_of
from corarec.serve.keys import Keys, Kind
from corarec.serve.middleware import broken
from corarec.serve.problems import Problem
from corarec.serve.service import ClientGoneError
from corarec.text import printable

with needs("serve"):
    from fastapi import Request, Response
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import HTMLResponse, RedirectResponse
    from fastapi.routing import APIRoute
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from pydantic import ValidationError

log = logging.getLogger(__name__)

KEY_COOKIE = "corarec_key"
SIGN_IN = "/sign-in"
WRITING = ("/say", "/forget")
"""Forms that change what the service knows."""
MOST_FIELDS = 300
COOKIE: dict[str, Any] = {"httponly": True, "samesite": "strict", "path": "/"}
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    # Under `no-referrer` a browser sends `Origin: null` with the page's own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
STATIC = ("page.css", "page.js", "icon.svg")
_CHECKED = "sec-fetch-site"


class PageRoute(APIRoute):
    """A route that answers with a page, whatever goes wrong, and only to who may see it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler within the checks."""
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                if request.method == "POST":
                    check_origin(request)
                if request.url.path != SIGN_IN:
                    check_key(request)
                return await inner(request)
            except Problem as problem:
                return _told(request, problem)
            except RequestValidationError as error:
                return _told(request, _wrong(error))
            except ClientGoneError:
                raise
            except Exception:
                fields = {"corarec_fields": {"request_id": id_of(request)}}
                log.exception("a page failed", extra=fields)
                return _told(request, broken(id_of(request)))

        return handler


def check_key(request: Request) -> None:
    """See that the key in the cookie may do this.

    Raises
    ------
    Problem
        401: there is none, or not one of these; 403: it may only read.
    """
    keys: Keys = request.app.state.keys
    if not keys.wanted:
        return
    kind = key_kind(request)
    if kind is None:
        raise Problem(401, "key_wanted", "An API key of this service is wanted.")
    if kind == "read" and request.method == "POST" and request.url.path in WRITING:
        raise Problem(
            403, "key_may_only_read", "Your key may only read. Sign in with one that may write."
        )


def key_kind(request: Request) -> Kind | None:
    """Return what the key in the cookie may do."""
    keys: Keys = request.app.state.keys
    return keys.kind(request.cookies.get(KEY_COOKIE, ""))


def check_origin(request: Request) -> None:
    """See that a form came from a page of this service, not from another site.

    Raises
    ------
    Problem
        403: it did not, or the browser does not say.
    """
    site = request.headers.get(_CHECKED)
    origin = request.headers.get("origin", "")
    same = bool(origin) and urlsplit(origin).netloc == request.headers.get("host")
    if site == "same-origin" or (site is None and same):
        return
    raise Problem(
        403, "foreign_form", "This form did not come from a page of this service. Open it again."
    )


async def form_of(request: Request) -> dict[str, list[str]]:
    """Return the fields of a form that was sent.

    Raises
    ------
    Problem
        422: it is none, or has too many fields.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body() if kind == "application/x-www-form-urlencoded" else b"\xff"
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            max_num_fields=MOST_FIELDS,
            errors="strict",
        )
    except ValueError as error:
        raise Problem(422, "invalid", "What came is not a form of this page.") from error
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


def asked(schema: Any, **values: Any) -> Any:
    """Return the body of a request of the API.

    Raises
    ------
    RequestValidationError
        A value is not as wanted.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error


def page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """Return a page."""
    service = service_of(request)
    keys: Keys = request.app.state.keys
    kind = key_kind(request) if keys.wanted else None
    frame = {
        "run": service.names[0],
        "other_run": service.names[1] if service.settings.beside is not None else None,
        "version": __version__,
        "signed_in": kind is not None,
        "may_say": not keys.wanted or kind == "write",
        "request_id": id_of(request),
    }
    text = environment().get_template(f"{template}.html.jinja").render(frame | values)
    return HTMLResponse(text, status, headers=HEADERS)


def away(path: str, *fields: tuple[str, Any]) -> RedirectResponse:
    """Return the redirect that follows a form, to a path with those fields that have a value."""
    return RedirectResponse(address(path, *fields), 303, headers=HEADERS)


def address(path: str, *fields: tuple[str, Any]) -> str:
    """Return a path with those fields that have a value."""
    given = [(name, value) for name, value in fields if value not in (None, "", False)]
    return f"{path}?{urlencode(given, quote_via=quote)}" if given else path


def static(name: str) -> Response:
    """Return a file that pages load.

    Raises
    ------
    Problem
        404: there is none.
    """
    if name not in STATIC:
        raise Problem(404, "no_file", "There is no such file.")
    headers = HEADERS | {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(_static(name), media_type=mimetypes.guess_type(name)[0], headers=headers)


@lru_cache
def _static(name: str) -> bytes:
    return (files("corarec.serve") / "static" / name).read_bytes()


@lru_cache
def environment() -> Environment:
    """Return what renders templates: everything in them is escaped."""
    made = Environment(
        loader=PackageLoader("corarec.serve"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    stamps = {name: hashlib.sha256(_static(name)).hexdigest()[:12] for name in STATIC}
    made.globals["file"] = lambda name: f"/static/{name}?v={stamps[name]}"
    made.globals["address"] = lambda path, *fields: address(path, *fields)
    made.filters["shown"] = printable
    made.filters["percent"] = percent
    made.filters["day"] = day
    return made


def percent(probability: float) -> str:
    """Return a probability in words."""
    return f"{100 * probability:.1f}%"


def day(seconds: int | None) -> str:
    """Return the date of a time in UTC seconds; nothing where there is none."""
    if seconds is None:
        return ""
    try:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).date().isoformat()
    except OverflowError:
        return ""


def _wrong(error: RequestValidationError) -> Problem:
    words = "; ".join(
        f"{printable(mistake['loc'][-1], 100)}: "
        f"{printable(mistake['msg'].removeprefix('Value error, '), 300)}"
        for mistake in error.errors()[:3]
    )
    return Problem(422, "invalid", f"That cannot be asked. {words}.")


def _told(request: Request, problem: Problem) -> Response:
    if problem.status == 401:
        return page(request, "sign_in", 401, problem=None)
    answer = page(request, "problem", problem.status, problem=problem)
    answer.headers.update(problem.headers())
    return answer

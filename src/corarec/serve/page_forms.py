"""What pages send: what somebody says, whom a browser saves, whom to forget, a key."""

from collections.abc import Sequence
from urllib.parse import quote, unquote

from corarec.extras import needs
from corarec.serve import routes, schemas
from corarec.serve.keys import Keys
from corarec.serve.page_frame import (
    COOKIE,
    KEY_COOKIE,
    SIGN_IN,
    PageRoute,
    asked,
    away,
    form_of,
    page,
)

with needs("serve"):
    from fastapi import APIRouter, Request, Response
    from fastapi.exceptions import RequestValidationError

SAVED_COOKIE = "corarec_people"
MOST_SAVED = 12
MOST_TYPED = 3_000
"""Characters of the cookie with saved people; browsers keep 4,096."""
A_YEAR = 365 * 86_400

forms = APIRouter(route_class=PageRoute, include_in_schema=False)


@forms.post("/say")
async def say(request: Request) -> Response:
    """Take what somebody likes, dislikes or has seen, and show the list as it is now."""
    form = await form_of(request)
    user, kind = _one(form, "user"), _one(form, "kind")
    shown_id = _one(form, "request_id") or None
    items = [(item, kind) for item in form.get("item", [])]
    items += [(item, "like") for item in form.get("liked", [])]
    items += [(item, "dislike") for item in form.get("disliked", [])]
    events = [
        {"user": user, "item": item, "kind": how, "request_id": shown_id} for item, how in items
    ]
    await routes.put_feedback(request, asked(schemas.FeedbackRequest, events=events))
    answer = away(
        "/person",
        ("user", user),
        ("q", _one(form, "q")),
        ("k", _one(form, "k")),
        ("beside", _one(form, "beside")),
    )
    if "keep" in form:
        _save(answer, [user, *(each for each in saved_people(request) if each != user)])
    return answer


@forms.post("/keep")
async def keep(request: Request) -> Response:
    """Save a person among the examples of this browser, or take one out."""
    form = await form_of(request)
    user = asked(schemas.Person, user=_one(form, "user")).user or ""
    others = [each for each in saved_people(request) if each != user]
    answer = away("/person", ("user", user))
    _save(answer, others if "drop" in form else [user, *others])
    return answer


@forms.post("/forget")
async def forget(request: Request) -> Response:
    """Forget a person, for good, and take the person out of this browser's."""
    user = asked(schemas.Person, user=_one(await form_of(request), "user")).user or ""
    await routes.forget_user(request, user)
    answer = away("/", ("forgotten", user))
    _save(answer, [each for each in saved_people(request) if each != user])
    return answer


@forms.get(SIGN_IN)
async def ask_key(request: Request) -> Response:
    """Ask for a key."""
    return page(request, "sign_in", problem=None)


@forms.post(SIGN_IN)
async def sign_in(request: Request) -> Response:
    """Keep a key in a cookie that no script can read and no other site can use."""
    given = _one(await form_of(request), "key").strip()
    keys: Keys = request.app.state.keys
    if keys.wanted and keys.kind(given) is None:
        return page(request, "sign_in", 401, problem="This is not one of the service's keys.")
    answer = away("/")
    if keys.wanted:
        secure = request.headers.get("x-forwarded-proto", request.url.scheme) == "https"
        answer.set_cookie(KEY_COOKIE, given, secure=secure, **COOKIE)
    return answer


@forms.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """Forget the key and the people of this browser."""
    answer = away(SIGN_IN)
    for name in (KEY_COOKIE, SAVED_COOKIE):
        answer.delete_cookie(name, **COOKIE)
    return answer


def saved_people(request: Request) -> list[str]:
    """Return the people whom this browser saved, the newest first; what is none is left out."""
    text = request.cookies.get(SAVED_COOKIE, "")[: 2 * MOST_TYPED]
    found: list[str] = []
    for part in text.split("|"):
        try:
            found.append(asked(schemas.Person, user=unquote(part, errors="strict")).user or "")
        except (RequestValidationError, UnicodeDecodeError):
            continue
    return list(dict.fromkeys(found))[:MOST_SAVED]


def _one(form: dict[str, list[str]], name: str) -> str:
    return form.get(name, [""])[-1]


def _save(answer: Response, people: Sequence[str]) -> None:
    kept: list[str] = []
    for user in people[:MOST_SAVED]:
        if len("|".join([*kept, quote(user, safe="")])) > MOST_TYPED:
            break
        kept.append(quote(user, safe=""))
    # Every person's id is kept as it stands in an address, so that no sign of it ends the cookie.
    answer.set_cookie(SAVED_COOKIE, "|".join(kept), max_age=A_YEAR, **COOKIE)

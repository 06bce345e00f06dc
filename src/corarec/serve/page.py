"""The pages: people, titles, recommendations and their reasons, on the routes of the API."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal
from urllib.parse import quote, unquote

from corarec.extras import needs
from corarec.score.explain import part_name
from corarec.serve import orders, routes, schemas, work
from corarec.serve.answers import scored, service_of
from corarec.serve.keys import Keys
from corarec.serve.page_frame import (
    COOKIE,
    KEY_COOKIE,
    SIGN_IN,
    PageRoute,
    away,
    form_of,
    page,
    static,
)
from corarec.serve.problems import Problem
from corarec.serve.status import figures
from corarec.serve.texts import ItemId, UserId
from corarec.text import printable

with needs("serve"):
    from fastapi import APIRouter, Query, Request, Response
    from fastapi.exceptions import RequestValidationError
    from pydantic import ValidationError

SAVED_COOKIE = "corarec_people"
MOST_SAVED = 12
MOST_TYPED = 3_000
"""Characters of the cookie with saved people; browsers keep 4,096."""
MOST_PICKED = 50
EXAMPLES = 8
FOUND_PEOPLE, FOUND_TITLES = 8, 12
SUGGESTED = 12
CANDIDATES = 100
SHOWN_EVENTS = 15
ALL_EVENTS = 300
A_YEAR = 365 * 86_400

Typed = Annotated[str, Query(max_length=200)]
Count = Annotated[int, Query(ge=1, le=CANDIDATES)]
Beside = Annotated[Literal["", "text"], Query()]
Picked = Annotated[list[ItemId], Query(max_length=MOST_PICKED)]
NONE: list[str] = []

pages = APIRouter(route_class=PageRoute, include_in_schema=False)
files = APIRouter(include_in_schema=False)


@files.get("/static/{name}")
async def file(name: str) -> Response:
    """Send a file that pages load."""
    return static(name)


@pages.get("/")
async def start(request: Request, q: Typed = "") -> Response:
    """People and titles, by search."""
    query = q.strip()
    people: list[str] = []
    titles: list[dict[str, Any]] = []
    if query:
        people = (await routes.find_users(request, query, FOUND_PEOPLE))["users"]
        titles = (await routes.find_items(request, query, FOUND_TITLES))["items"]
    examples = (await routes.find_users(request, "", EXAMPLES))["users"]
    return page(
        request,
        "start",
        q=q,
        searched=bool(query),
        people=people,
        titles=titles,
        examples=examples,
        saved=saved_people(request),
    )


@pages.get("/person")
async def person(
    request: Request,
    user: Annotated[UserId, Query()],
    q: Typed = "",
    k: Count = 10,
    beside: Beside = "",
) -> Response:
    """Show a person's history beside recommendations."""
    known: dict[str, Any] | None
    try:
        known = await routes.show_user(request, user)
    except Problem as problem:
        if problem.status != 404:
            raise
        known = None
    events = [] if known is None else known["events"]
    opinions: dict[str, str] = {}
    for event in events:
        opinions.setdefault(event["item"], event["kind"])
    hits = await _opinions_on(request, user, q.strip())
    body = asked(schemas.RecommendRequest, user=user, k=k, candidates=CANDIDATES)
    return page(
        request,
        "person",
        user=user,
        known=known,
        events=events[:SHOWN_EVENTS],
        older=events[SHOWN_EVENTS:ALL_EVENTS],
        count=len(events),
        opinions=opinions,
        hits=hits,
        q=q,
        k=k,
        beside=beside,
        saved=user in saved_people(request),
        **await _lists(request, body, beside),
    )


@pages.get("/new")
async def new(
    request: Request,
    liked: Picked = NONE,
    disliked: Picked = NONE,
    q: Typed = "",
    k: Count = 10,
    beside: Beside = "",
) -> Response:
    """Somebody new: likes are picked, and the list changes at once; the address holds them."""
    service = service_of(request)
    service.check_open()
    await service.follower.catch_up()  # another process may have added an item
    index = service.index
    gone = [item for item in [*liked, *disliked] if index.get(item) is None]
    likes = _there(request, liked)
    dislikes = {
        item: title for item, title in _there(request, disliked).items() if item not in likes
    }
    picked = likes | dislikes
    query = q.strip()
    hits = (await routes.find_items(request, query, FOUND_TITLES))["items"] if query else []
    suggested: list[dict[str, Any]] = []
    lists: dict[str, Any] = {"ranked": [], "other": None, "shown_id": None, "no_text": False}
    if likes:
        body = asked(
            schemas.RecommendRequest,
            liked=list(likes),
            disliked=list(dislikes),
            k=k,
            candidates=CANDIDATES,
        )
        lists = await _lists(request, body, beside)
    elif not query:
        offered = await scored(request, SUGGESTED, orders.popular, SUGGESTED + len(picked))
        suggested = [one for one in offered if one["item"] not in picked][:SUGGESTED]
    return page(
        request,
        "new",
        likes=likes,
        dislikes=dislikes,
        gone=gone,
        full=len(picked) >= MOST_PICKED,
        hits=hits,
        suggested=suggested,
        q=q,
        k=k,
        beside=beside,
        **lists,
    )


@pages.get("/why")
async def why(
    request: Request,
    item: Annotated[ItemId, Query()],
    user: Annotated[UserId | None, Query()] = None,
    liked: Picked = NONE,
    disliked: Picked = NONE,
) -> Response:
    """Why an item is where it is in somebody's list: what `corarec explain` tells."""
    somebody = {"user": user} if user is not None else {"liked": liked, "disliked": disliked}
    body = asked(schemas.RankRequest, items=[item], explain=True, **somebody)
    # Not by the route: what is explained is not a list that was shown.
    ranked = await scored(request, 1 + work.EXPLAINED_PAIRS, work.rank, body)
    told = ranked.rows[0]["explanation"]
    effects = [
        effect | {"words": part_name(effect["without"], _clean(effect["title"]))}
        for effect in told["effects"]
    ]
    largest = max((abs(effect["effect_logit"]) for effect in effects), default=0.0) or 1.0
    left_out = [
        {"words": part_name(part["without"]), "reason": part["reason"]}
        for part in told["not_applicable"]
    ]
    return page(
        request,
        "why",
        told=told,
        user=user,
        liked=liked,
        disliked=disliked,
        effects=effects,
        largest=largest,
        left_out=left_out,
    )


@pages.get("/status")
async def status(request: Request) -> Response:
    """How the service is."""
    service = service_of(request)
    return page(request, "status", **figures(service))


@pages.post("/say")
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


@pages.post("/keep")
async def keep(request: Request) -> Response:
    """Save a person among the examples of this browser, or take one out."""
    form = await form_of(request)
    user = asked(schemas.Person, user=_one(form, "user")).user or ""
    others = [each for each in saved_people(request) if each != user]
    answer = away("/person", ("user", user))
    _save(answer, others if "drop" in form else [user, *others])
    return answer


@pages.get(SIGN_IN)
async def ask_key(request: Request) -> Response:
    """Ask for a key."""
    return page(request, "sign_in", problem=None)


@pages.post(SIGN_IN)
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


@pages.post("/sign-out")
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


async def _lists(request: Request, body: schemas.RecommendRequest, beside: str) -> dict[str, Any]:
    if not beside:
        answer = await routes.recommend(request, body)
        shown_id = answer["request_id"]
        return {"ranked": answer["items"], "other": None, "shown_id": shown_id, "no_text": False}
    both: orders.Beside = await scored(request, 2 * body.candidates, orders.beside_text, body)
    no_text = both.other is None
    return {"ranked": both.ours, "other": both.other, "shown_id": None, "no_text": no_text}


async def _opinions_on(request: Request, user: str, query: str) -> list[dict[str, Any]]:
    """Return titles that a person might be asked about, with what the run says of each."""
    if not query:
        return []
    found = (await routes.find_items(request, query, FOUND_TITLES))["items"]
    if not found:
        return []
    pairs = [{"user": user, "item": each["item"]} for each in found]
    body = asked(schemas.ScoreRequest, pairs=pairs)
    scores: Sequence[dict[str, Any]] = await scored(request, len(pairs), work.score, body.pairs)
    return [
        each | {"probability": one["probability"]} for each, one in zip(found, scores, strict=True)
    ]


def _there(request: Request, items: Sequence[str]) -> dict[str, str]:
    """Return titles by id of those items that somebody knows."""
    index = service_of(request).index
    known = {item: index.get(item) for item in items}
    return {item: found[0] for item, found in known.items() if found is not None}


def _one(form: dict[str, list[str]], name: str) -> str:
    return form.get(name, [""])[-1]


def _clean(title: str | None) -> str | None:
    return None if title is None else printable(title)


def _save(answer: Response, people: Sequence[str]) -> None:
    kept: list[str] = []
    for user in people[:MOST_SAVED]:
        if len("|".join([*kept, quote(user, safe="")])) > MOST_TYPED:
            break
        kept.append(quote(user, safe=""))
    # Every person's id is kept as it stands in an address, so that no sign of it ends the cookie.
    answer.set_cookie(SAVED_COOKIE, "|".join(kept), max_age=A_YEAR, **COOKIE)

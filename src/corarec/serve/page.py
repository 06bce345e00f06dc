"""The pages: people, titles, recommendations and their reasons, on the routes of the API."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from corarec.extras import needs
from corarec.score.explain import part_name
from corarec.serve import orders, routes, schemas, work
from corarec.serve.answers import scored, service_of
from corarec.serve.page_forms import saved_people
from corarec.serve.page_frame import PageRoute, asked, page, static
from corarec.serve.problems import Problem
from corarec.serve.service import Service
from corarec.serve.status import figures
from corarec.serve.texts import ItemId, UserId
from corarec.text import printable

with needs("serve"):
    from fastapi import APIRouter, Query, Request, Response

MOST_PICKED = 50
EXAMPLES = 8
FOUND_PEOPLE, FOUND_TITLES = 8, 12
SUGGESTED = 12
CANDIDATES = 100
SHOWN_EVENTS = 15
ALL_EVENTS = 300
NO_INCREMENT = (
    "This system has no increment that can be switched off, so there is nothing to put beside it."
)
NO_OTHER_RUN = (
    "No other run is served beside this one. Start the service with --beside and another run of "
    "the same dataset."
)

Typed = Annotated[str, Query(max_length=200)]
Count = Annotated[int, Query(ge=1, le=CANDIDATES)]
Beside = Annotated[Literal["", "text", "run"], Query()]
Picked = Annotated[list[ItemId], Query(max_length=MOST_PICKED)]
NONE: list[str] = []
NO_LISTS: dict[str, Any] = {"ranked": [], "orders": None, "shown_id": None, "alone": None}

pages = APIRouter(route_class=PageRoute, include_in_schema=False)
files = APIRouter(include_in_schema=False)


@files.get("/static/{name}")
async def file(name: str) -> Response:
    """Send a file that pages load."""
    return static(name)


@pages.get("/")
async def start(
    request: Request, q: Typed = "", forgotten: Annotated[UserId | None, Query()] = None
) -> Response:
    """People and titles, by search."""
    if forgotten is not None and await _known(request, forgotten) is not None:
        forgotten = None  # the address is an old one: somebody of this id told something since
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
        forgotten=forgotten,
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
    known = await _known(request, user)
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
    lists: dict[str, Any] = NO_LISTS
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
        picked=[("liked", item) for item in likes] + [("disliked", item) for item in dislikes],
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
    by: Annotated[Literal["", "run"], Query()] = "",
) -> Response:
    """Why an item is where it is in somebody's list: what `corarec explain` tells."""
    somebody = {"user": user} if user is not None else {"liked": liked, "disliked": disliked}
    body = asked(schemas.RankRequest, items=[item], explain=True, **somebody)
    # Not by the route: what is explained is not a list that was shown.
    service = service_of(request)
    service.check_open()
    if by and service.beside is None:
        raise Problem(422, "no_other_run", NO_OTHER_RUN)
    of = service.beside if by else None
    told = await scored(request, work.EXPLAINED_PAIRS, orders.why, item, body, of)
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
        by=by,
    )


@pages.get("/status")
async def status(request: Request) -> Response:
    """How the service is."""
    service = service_of(request)
    return page(request, "status", **figures(service))


async def _lists(request: Request, body: schemas.RecommendRequest, beside: str) -> dict[str, Any]:
    service = service_of(request)
    service.check_open()
    alone = NO_OTHER_RUN if beside == "run" and service.beside is None else None
    if not beside or alone:
        answer = await routes.recommend(request, body)
        return NO_LISTS | {
            "ranked": answer["items"],
            "shown_id": answer["request_id"],
            "alone": alone,
        }
    cost = 2 * body.candidates
    both: orders.Beside
    if beside == "run":
        both = await scored(request, cost, orders.beside_run, service.beside, body)
    else:
        both = await scored(request, cost, orders.beside_text, body)
    if both.other is None:
        return NO_LISTS | {"ranked": both.ours, "alone": NO_INCREMENT}
    return NO_LISTS | {"ranked": both.ours, "orders": _headed(service, both, beside)}


def _headed(service: Service, both: orders.Beside, beside: str) -> list[dict[str, Any]]:
    """Return the two lists with what stands above them."""
    # Each with what explains it: the run, the other one; of the text alone there is nothing to say.
    heads = [
        ("With the increment", "What the run answers.", ""),
        ("Text only", "The increment off: the frozen language model reads the same prompts.", None),
    ]
    if beside == "run":
        ours, other = (_in_words(engine.about) for engine in service.engines)
        heads = [
            (service.names[0], f"{ours}.", ""),
            (service.names[1], f"{other}, with its own candidates.", "run"),
        ]
    return [
        {"letter": letter, "heading": heading, "note": note, "by": by, "rows": rows or []}
        for letter, (heading, note, by), rows in zip("AB", heads, both, strict=True)
    ]


def _in_words(about: dict[str, Any]) -> str:
    cf = f" with {about['cf']}" if about["cf"] else " without CF"
    return f"System {about['system']}{cf}"


async def _known(request: Request, user: str) -> dict[str, Any] | None:
    """Return what is known of a user; None of somebody whom nobody knows."""
    try:
        known: dict[str, Any] = await routes.show_user(request, user)
    except Problem as problem:
        if problem.status == 404:
            return None
        raise
    return known


async def _opinions_on(request: Request, user: str, query: str) -> list[dict[str, Any]]:
    """Return titles that a person might be asked about, with what the run says of each."""
    if not query:
        return []
    found = (await routes.find_items(request, query, FOUND_TITLES))["items"]
    if not found:
        return []
    added_too = service_of(request).engine.about["scores_added_items"]
    asked_for = [each["item"] for each in found if added_too or not each["added"]]
    chances: dict[str, float] = {}
    if asked_for:
        pairs = [{"user": user, "item": item} for item in asked_for]
        body = asked(schemas.ScoreRequest, pairs=pairs)
        rows: Sequence[dict[str, Any]] = await scored(request, len(pairs), work.score, body.pairs)
        chances = {row["item"]: row["probability"] for row in rows}
    return [each | {"probability": chances.get(each["item"])} for each in found]


def _there(request: Request, items: Sequence[str]) -> dict[str, str]:
    """Return titles by id of those items that somebody knows."""
    index = service_of(request).index
    known = {item: index.get(item) for item in items}
    return {item: found[0] for item, found in known.items() if found is not None}


def _clean(title: str | None) -> str | None:
    return None if title is None else printable(title)

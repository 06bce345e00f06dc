"""The routes of the API."""

from dataclasses import asdict
from typing import Annotated, Any

from corarec.extras import needs
from corarec.serve import results, schemas, work
from corarec.serve.answers import (
    CONFLICT,
    FULL,
    NOT_FOUND,
    RESPONSES,
    check_count,
    gone,
    id_of,
    no_item,
    scored,
    service_of,
    shown,
    written,
)
from corarec.serve.problems import Problem, unprocessable
from corarec.serve.texts import ItemId, PathId, RepeatKey, UserId
from corarec.serve.writes import MOST_EVENTS as MOST_TOLD
from corarec.serve.writes import Feedback, ForgetUser, NewEvent, PutItem, RemoveItem
from corarec.text import printable

with needs("serve"):
    from fastapi import APIRouter, Header, Query, Request

MOST_FOUND = 100
MOST_EVENTS = 1_000
"""Events of a user in one answer, the newest."""

v1 = APIRouter(prefix="/v1", responses=RESPONSES)


# ---- asking


@v1.post("/score", response_model=results.ScoreAnswer, tags=["asking"])
async def score(request: Request, body: schemas.ScoreRequest) -> Any:
    """Score pairs: the probability that each user enjoys the item."""
    service = service_of(request)
    check_count(len(body.pairs), service.settings.request_pairs, "pairs")
    rows = await scored(request, len(body.pairs), work.score, body.pairs)
    return {"request_id": id_of(request), "pairs": rows}


@v1.post("/rank", response_model=results.RankAnswer, tags=["asking"])
async def rank(request: Request, body: schemas.RankRequest) -> Any:
    """Put candidates of one's own in order for a user, or for somebody new."""
    service = service_of(request)
    count = len(body.items) + len(body.titles)
    check_count(count, service.settings.request_pairs, "candidates")
    if body.explain:
        explained = min(count, body.k or count)
        check_count(explained, service.settings.request_explained, "items to explain (lower k)")
        count += explained * work.EXPLAINED_PAIRS
    ranked = await scored(request, count, work.rank, body)
    return shown(request, body.user, ranked)


@v1.post("/recommend", response_model=results.RankAnswer, tags=["asking"])
async def recommend(request: Request, body: schemas.RecommendRequest) -> Any:
    """Recommend to a user, or to somebody new who likes some titles."""
    service = service_of(request)
    check_count(body.candidates, service.settings.request_pairs, "candidates")
    return shown(request, body.user, await scored(request, body.candidates, work.recommend, body))


@v1.get("/recommend", response_model=results.RankAnswer, tags=["asking"])
async def recommend_to(
    request: Request,
    user: Annotated[UserId, Query()],
    k: Annotated[int, Query(ge=1, le=1_000)] = 10,
    candidates: Annotated[int, Query(ge=1, le=1_000)] = 100,
    exclude: Annotated[list[ItemId], Query(max_length=1_000)] = [],  # noqa: B006 - FastAPI copies it
) -> Any:
    """Recommend to a user."""
    if k > candidates:
        raise unprocessable("k is larger than candidates; raise candidates.")
    body = schemas.RecommendRequest(user=user, k=k, candidates=candidates, exclude=exclude)
    return await recommend(request, body)


# ---- telling


@v1.post("/feedback", response_model=results.FeedbackAnswer, responses=FULL, tags=["telling"])
async def add_feedback(
    request: Request,
    body: schemas.Told,
    idempotency_key: Annotated[RepeatKey | None, Header()] = None,
) -> Any:
    """Tell what users like, dislike or have seen; told twice it counts once."""
    return await _feedback(request, body, idempotency_key, overwrite=False)


@v1.put("/feedback", response_model=results.FeedbackAnswer, responses=FULL, tags=["telling"])
async def put_feedback(
    request: Request,
    body: schemas.Told,
    idempotency_key: Annotated[RepeatKey | None, Header()] = None,
) -> Any:
    """As POST, but what each user said of the item before is taken back."""
    return await _feedback(request, body, idempotency_key, overwrite=True)


async def _feedback(
    request: Request,
    body: schemas.FeedbackRequest | schemas.Event,
    key: str | None,
    *,
    overwrite: bool,
) -> Any:
    service = service_of(request)
    service.check_open()
    events = body.events if isinstance(body, schemas.FeedbackRequest) else [body]
    check_count(len(events), service.settings.request_events, "events")
    items = sorted({event.item for event in events})
    if service.index.unknown(items):
        await service.follower.catch_up()  # another process may have added it
        if unknown := service.index.unknown(items):
            raise unprocessable(no_item(unknown[0]))
    told = [
        NewEvent(event.user, event.item, event.kind, event.time, event.request_id)
        for event in events
    ]
    feedback = Feedback(told, overwrite=overwrite, key=key, most=MOST_TOLD)
    done = await written(request, feedback)
    if done is None:
        raise Problem(
            422,
            "key_used",
            f"The Idempotency-Key {key} was sent with other events before. Use another key for "
            "each request, and the same one only to send it again.",
        )
    if done.full is not None:
        raise Problem(
            507,
            "too_many_events",
            f"There are as many events of the user {printable(done.full, 80)!r} as are kept, "
            f"{MOST_TOLD:,}, and nothing of this was written. Send what counts with PUT, which "
            "takes back what was said of the same item before.",
        )
    if not done.again:
        for kind, count in done.new.items():
            service.metrics.events.labels(kind).inc(count)
    return {"request_id": id_of(request), "accepted": len(events), "new": sum(done.new.values())}


@v1.post("/items", response_model=results.ItemAnswer, responses=CONFLICT | FULL, tags=["items"])
async def add_item(request: Request, body: schemas.NewItem) -> Any:
    """Add an item by its title, or give an added one another title."""
    service = service_of(request)
    service.check_open()
    there = service.index.get(body.item)
    if there is not None and not there[1]:
        raise Problem(
            409, "in_dataset", f"The item {body.item!r} is one of the dataset. Choose another id."
        )
    most = service.settings.added_items
    new = await written(request, PutItem(body.item, body.title, body.metadata, most))
    if new is None:
        raise Problem(507, "too_many_items", f"There are {most} added items; remove some first.")
    await service.follower.catch_up()
    return body.model_dump() | {"request_id": id_of(request), "added": True, "new": new}


@v1.get("/items", response_model=results.ItemsAnswer, tags=["items"])
async def find_items(
    request: Request,
    q: Annotated[str, Query(max_length=200, examples=["alein"])] = "",
    limit: Annotated[int, Query(ge=1, le=MOST_FOUND)] = 10,
) -> Any:
    """Search items by title, however it is spelt; without `q` the items that were added last."""
    service = service_of(request)
    service.check_open()
    if q:
        deadline = request.scope["state"]["deadline"]
        hits = await service.searched(q, limit, deadline, gone(request))
        found = [asdict(hit) for hit in hits]
    else:
        await service.follower.catch_up()
        newest = list(service.index.added().items())[::-1][:limit]
        found = [
            {"item": item, "title": state.title, "added": True, "metadata": state.metadata}
            for item, state in newest
        ]
    return {"request_id": id_of(request), "items": found}


@v1.get("/items/{item:path}", response_model=results.Item, responses=NOT_FOUND, tags=["items"])
async def show_item(request: Request, item: PathId) -> Any:
    """Show an item."""
    service = service_of(request)
    service.check_open()
    await service.follower.catch_up()
    there = service.index.get(item)
    if there is None:
        raise Problem(404, "no_item", no_item(item))
    state = service.index.added().get(item) if there[1] else None
    metadata = {} if state is None else state.metadata
    return {"item": item, "title": there[0], "added": there[1], "metadata": metadata}


@v1.delete(
    "/items/{item:path}",
    response_model=results.RemovedAnswer,
    responses=NOT_FOUND | CONFLICT,
    tags=["items"],
)
async def remove_item(request: Request, item: PathId) -> Any:
    """Remove an item that was added."""
    service = service_of(request)
    service.check_open()
    there = service.index.get(item)
    if there is not None and not there[1]:
        raise Problem(
            409, "in_dataset", f"The item {item!r} is one of the dataset; only added ones go."
        )
    if not await written(request, RemoveItem(item)):
        raise Problem(404, "no_item", no_item(item))
    await service.follower.catch_up()
    return {"request_id": id_of(request), "item": item}


# ---- people


@v1.get("/users", response_model=results.UsersAnswer, tags=["users"])
async def find_users(
    request: Request,
    q: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=MOST_FOUND)] = 10,
) -> Any:
    """Find users by a part of their id; without `q` some of whom much is known."""
    return {"request_id": id_of(request), "users": await scored(request, 1, work.users, q, limit)}


@v1.get(
    "/users/{user:path}", response_model=results.UserAnswer, responses=NOT_FOUND, tags=["users"]
)
async def show_user(request: Request, user: PathId) -> Any:
    """Show what is known of a user, newest first."""
    try:
        known = await scored(request, 1, work.known, user)
    except Problem as problem:
        if problem.status == 422:
            raise Problem(404, "no_user", problem.message) from problem
        raise
    events = [
        {name: getattr(event, name) for name in results.KnownEvent.model_fields}
        for event in known.events[:MOST_EVENTS]
    ]
    answer = {"request_id": id_of(request), "user": user, "in_dataset": known.in_dataset}
    return answer | {"cold": known.cold, "events": events}


@v1.delete("/users/{user:path}", response_model=results.ForgottenAnswer, tags=["users"])
async def forget_user(request: Request, user: PathId) -> Any:
    """Forget a user: events are deleted, and what the dataset knows does not count any more."""
    forget = ForgetUser(user, service_of(request).in_dataset(user))
    events = await written(request, forget)
    return {"request_id": id_of(request), "user": user, "events": events}

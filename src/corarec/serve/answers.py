"""What the routes share: how they wait, what they answer, and what is said where it goes wrong."""

from collections.abc import Awaitable, Callable
from typing import Any

from corarec.extras import needs
from corarec.serve import work
from corarec.serve.jobs import Work
from corarec.serve.middleware import broken
from corarec.serve.problems import Problem, too_large, unprocessable
from corarec.serve.results import ProblemAnswer
from corarec.serve.service import ClientGoneError, Service
from corarec.serve.writes import Shown, Write
from corarec.text import printable

with needs("serve"):
    from fastapi import FastAPI, Request, Response
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse
    from starlette.exceptions import HTTPException

_PROBLEMS = {
    400: "The body is no JSON.",
    401: "A key is wanted.",
    403: "The key may only read.",
    408: "The body took too long.",
    413: "Beyond a limit of size; see /info.",
    422: "A value is not as wanted; says which and why.",
    429: "The queue is full; Retry-After says when to try again.",
    500: "The request failed here; others are not touched.",
    503: "Loading, draining, or the store does not take writes.",
    504: "Not answered by its deadline, and dropped.",
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": ProblemAnswer, "description": words} for status, words in _PROBLEMS.items()
}
NOT_FOUND: dict[int | str, dict[str, Any]] = {
    404: {"model": ProblemAnswer, "description": "There is none."}
}
CONFLICT: dict[int | str, dict[str, Any]] = {
    409: {"model": ProblemAnswer, "description": "The dataset has it."}
}
FULL: dict[int | str, dict[str, Any]] = {
    507: {"model": ProblemAnswer, "description": "No more is kept."}
}


def service_of(request: Request) -> Service:
    """Return the service that a request is of."""
    service: Service = request.app.state.service
    return service


def id_of(request: Request) -> str:
    """Return a request's id."""
    return str(request.scope["state"]["request_id"])


def gone(request: Request) -> Callable[[], Awaitable[None]]:
    """Return what waits until the client of a request goes away."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    return gone


async def scored(request: Request, cost: int, make: Callable[..., Work], *values: Any) -> Any:
    """Have `make(engine, *values)` done in the scoring thread, see `Service.scored`."""
    service = service_of(request)
    deadline = request.scope["state"]["deadline"]
    # The engine is that of the moment when the work begins.
    return await service.scored(
        lambda: make(service.engine, *values), cost, deadline, gone(request)
    )


async def written(request: Request, write: Write) -> Any:
    """Have something written, see `Service.written`."""
    deadline = request.scope["state"]["deadline"]
    return await service_of(request).written(write, deadline, gone(request))


def shown(request: Request, user: str | None, ranked: work.Ranked) -> dict[str, Any]:
    """Return the answer with a list, which the store keeps."""
    request_id = id_of(request)
    rows = [
        (row["item"], row["rank"], row["score"], row["probability"])
        for row in ranked.rows
        if row["item"] is not None
    ]
    if rows:
        service_of(request).show(Shown(request_id, user, rows))
    answer = {"request_id": request_id, "user": user, "known": ranked.known}
    return answer | {"items": ranked.rows}


def check_count(count: int, most: int, what: str) -> None:
    """See that a request does not want too much.

    Raises
    ------
    Problem
        413: it does.
    """
    if count > most:
        raise too_large(f"The request has {count} {what}; at most {most} go into one. See /info.")


def no_item(item: str) -> str:
    """Say that there is no such item."""
    return (
        f"There is no item {printable(item, 80)!r}. Find its id with GET /v1/items?q=TITLE, or add "
        "it with POST /v1/items."
    )


def _answer(request: Request, problem: Problem, details: Any = None) -> Response:
    return JSONResponse(
        problem.body(id_of(request), details), problem.status, headers=problem.headers()
    )


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return _answer(request, error)


async def _mistakes(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    mistakes = [
        {
            "place": printable(".".join(map(str, mistake["loc"])), 200),
            "wanted": printable(mistake["msg"].removeprefix("Value error, "), 500),
            "came": printable(repr(mistake.get("input")), 100),
        }
        for mistake in error.errors()[:20]
    ]
    words = "; ".join(f"{each['place']}: {each['wanted']}" for each in mistakes[:3])
    return _answer(request, unprocessable(f"The request is not as wanted. {words}."), mistakes)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    names = {404: "no_route", 405: "wrong_method", 400: "no_json"}
    code = names.get(error.status_code, "http")
    answer = _answer(request, Problem(error.status_code, code, f"{error.detail}."))
    answer.headers.update(error.headers or {})
    return answer


async def _nobody(request: Request, error: Exception) -> Response:
    return Response(status_code=499)


async def _failed(request: Request, error: Exception) -> Response:
    return _answer(request, broken(id_of(request)))


def tell_problems(app: FastAPI) -> None:
    """Have an application answer whatever goes wrong in one form."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _mistakes)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientGoneError, _nobody)
    app.add_exception_handler(Exception, _failed)

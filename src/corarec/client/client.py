"""A run that is served, asked from Python with the methods of a run."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import quote
from uuid import uuid4

import polars as pl

from corarec.client.connection import Connection
from corarec.errors import DataError

if TYPE_CHECKING:
    from corarec.score.explain import Explanation

_RANKED = {
    "rank": pl.Int64,
    "item": pl.String,
    "title": pl.String,
    "probability": pl.Float64,
    "score": pl.Float64,
    "candidate_rank": pl.Int64,
    "cold": pl.Boolean,
    "added": pl.Boolean,
}
_ITEMS = {"item": pl.String, "title": pl.String, "added": pl.Boolean, "match": pl.Float64}
_EVENTS = {
    "item": pl.String,
    "title": pl.String,
    "kind": pl.String,
    "time": pl.Int64,
    "live": pl.Boolean,
}
Id = str | int


class Client:
    """A service that `corarec serve` started.

    Its methods raise what the service answers in its own words: `DataError` for what was asked
    wrongly, `ConfigError` for keys and names, `ServiceError` where it does not answer. An answer
    of "busy" is waited for as long as the service asks, `retry_seconds` in all per request.
    Feedback whose answer is lost is sent again, too, with a key by which the service counts it
    once.

    Parameters
    ----------
    url
        Such as `http://127.0.0.1:8000`.
    key
        An API key, where the service wants one.
    timeout
        Seconds that one attempt may take.
    transport
        One of httpx, such as for certificates of one's own.

    Raises
    ------
    ConfigError
        The address is none, a number is not as wanted, or httpx is not installed.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout: float = 60.0,
        retry_seconds: float = 60.0,
        transport: Any = None,
    ) -> None:
        self._connection = Connection(url, key, timeout, retry_seconds, transport)
        self._ask = self._connection.ask

    def __repr__(self) -> str:
        return f"Client({self._connection.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._connection.close()

    # ---- as a run

    def score(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """Score pairs: columns `user` and `item` (raw ids) in, `score` and `probability` added.

        Raises
        ------
        DataError
            A column is missing or would be overwritten, a value is null, or an item is unknown.
        """
        if there := [name for name in ("score", "probability") if name in pairs.columns]:
            raise DataError(f"The pairs have a column {there[0]}, which is added. Drop it.")
        users, items = _ids(pairs, "user"), _ids(pairs, "item")
        rows: list[dict[str, Any]] = []
        asked = [{"user": u, "item": i} for u, i in zip(users, items, strict=True)]
        for part in self._parts(asked, "request_pairs"):
            rows += self._ask("POST", "/v1/score", {"pairs": part})["pairs"]
        return pairs.with_columns(
            pl.Series(name, [row[name] for row in rows], dtype=pl.Float64)
            for name in ("score", "probability")
        )

    def score_title(self, user: Id, title: str) -> float:
        """Return the probability that a user enjoys an item of which only the title is known."""
        (row,) = self._ask("POST", "/v1/score", {"pairs": [{"user": user, "title": title}]})[
            "pairs"
        ]
        return float(row["probability"])

    def recommend(
        self,
        user: Id | None = None,
        *,
        liked: Sequence[str] | str = (),
        disliked: Sequence[str] = (),
        k: int = 10,
        candidates: int = 100,
        exclude: Sequence[Id] = (),
        filter: Mapping[str, Any] | None = None,
        diversity: float = 0.0,
    ) -> pl.DataFrame:
        """Recommend to a user, or to somebody new who liked some titles or items (or one).

        Returns
        -------
        Columns rank, item (raw id), title, probability, score (logit), candidate_rank, cold (CF
        knows nothing of the item), added (after training) and request_id, by which feedback is
        joined to this list.
        """
        body = _person(user, liked, disliked) | {"k": k, "candidates": candidates}
        body |= {"exclude": list(exclude), "diversity": diversity}
        return self._ranked(self._ask("POST", "/v1/recommend", body | {"filter": filter or {}}))

    def rank(
        self,
        user: Id | None = None,
        items: Sequence[Id] = (),
        *,
        liked: Sequence[str] | str = (),
        disliked: Sequence[str] = (),
        titles: Sequence[str] = (),
        k: int | None = None,
        exclude: Sequence[Id] = (),
    ) -> pl.DataFrame:
        """Put candidates of one's own in order, by id or by the title alone.

        Returns
        -------
        Columns as of `recommend`; item is null for a title.
        """
        body = _person(user, liked, disliked) | {"items": list(items), "titles": list(titles)}
        return self._ranked(
            self._ask("POST", "/v1/rank", body | {"k": k, "exclude": list(exclude)})
        )

    def explain(
        self,
        user: Id | None = None,
        item: Id | None = None,
        *,
        liked: Sequence[str] | str = (),
        disliked: Sequence[str] = (),
        title: str | None = None,
    ) -> "Explanation":
        """Say how the answer for one pair moves when one thing is left out at a time."""
        from corarec.score.explain import from_dict

        if (item is None) == (title is None):
            raise DataError("Wanted is either an item or a title, and not both.")
        what = {"items": [item]} if title is None else {"titles": [title]}
        body = _person(user, liked, disliked) | what | {"explain": True}
        return from_dict(self._ask("POST", "/v1/rank", body)["items"][0]["explanation"])

    # ---- what it is told

    def feedback(
        self,
        user: Id,
        item: Id,
        kind: Literal["like", "dislike", "seen"],
        *,
        time: int | None = None,
        request_id: str | None = None,
        overwrite: bool = False,
    ) -> bool:
        """Tell what somebody likes, dislikes or has seen; return whether that was new.

        With `overwrite` what the user said of the item before is taken back. When this returns it
        is durable and counts in the next answer.
        """
        event = {"user": user, "item": item, "kind": kind, "time": time, "request_id": request_id}
        return self._tell([event], overwrite) > 0

    def feedback_frame(self, events: pl.DataFrame, *, overwrite: bool = False) -> int:
        """Tell many events: columns user, item, kind and, if they are there, time and request_id.

        Returns how many were new. They go in parts: where one is refused those before it were
        taken, and telling all of them again doubles none that has a time.
        """
        columns = {name: _ids(events, name) for name in ("user", "item")}
        columns["kind"] = _ids(events, "kind")
        for name in ("time", "request_id"):
            if name in events.columns:
                columns[name] = events[name].to_list()
        told = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return sum(self._tell(part, overwrite) for part in self._parts(told, "request_events"))

    def _tell(self, events: Sequence[Mapping[str, Any]], overwrite: bool) -> int:
        method, key = "PUT" if overwrite else "POST", uuid4().hex
        return int(self._ask(method, "/v1/feedback", {"events": list(events)}, key=key)["new"])

    # ---- items and people

    def items(self, q: str = "", limit: int = 10) -> pl.DataFrame:
        """Search items by title, however it is spelt; without `q` those that were added last.

        Returns
        -------
        Columns item, title, added and match (0 to 100).
        """
        found = self._ask("GET", "/v1/items", query={"q": q, "limit": limit})["items"]
        return pl.DataFrame([[row[name] for name in _ITEMS] for row in found], _ITEMS, orient="row")

    def item(self, item: Id) -> dict[str, Any]:
        """Return what is known of an item: item, title, added, metadata."""
        return self._ask("GET", f"/v1/items/{_place(item)}")

    def add_item(self, item: Id, title: str, metadata: Mapping[str, Any] | None = None) -> bool:
        """Add an item, or give an added one another title; return whether it was not there."""
        body = {"item": item, "title": title, "metadata": dict(metadata or {})}
        return bool(self._ask("POST", "/v1/items", body)["new"])

    def remove_item(self, item: Id) -> None:
        """Remove an item that was added."""
        self._ask("DELETE", f"/v1/items/{_place(item)}")

    def users(self, q: str = "", limit: int = 10) -> list[str]:
        """Find users by a part of their id; without `q` some of whom much is known."""
        return list(self._ask("GET", "/v1/users", query={"q": q, "limit": limit})["users"])

    def user(self, user: Id) -> pl.DataFrame:
        """Return what is known of a user, newest first: item, title, kind, time, live."""
        known = self._ask("GET", f"/v1/users/{_place(user)}")["events"]
        return pl.DataFrame(
            [[row[name] for name in _EVENTS] for row in known], _EVENTS, orient="row"
        )

    def forget_user(self, user: Id) -> int:
        """Forget a user; return how many events were deleted."""
        return int(self._ask("DELETE", f"/v1/users/{_place(user)}")["events"])

    # ---- the service

    def info(self) -> dict[str, Any]:
        """Return what is served, and within which limits."""
        return self._ask("GET", "/info")

    def ready(self) -> bool:
        """Return whether it answers requests now."""
        return self._connection.is_well("/health/ready")

    @cached_property
    def _limits(self) -> dict[str, Any]:
        return dict(self.info()["limits"])

    def _parts(self, rows: list[dict[str, Any]], limit: str) -> list[list[dict[str, Any]]]:
        if len(rows) <= 1:
            return [rows] if rows else []
        most = int(self._limits[limit])
        return [rows[first : first + most] for first in range(0, len(rows), most)]

    def _ranked(self, answer: dict[str, Any]) -> pl.DataFrame:
        rows = [[row[name] for name in _RANKED] for row in answer["items"]]
        frame = pl.DataFrame(rows, _RANKED, orient="row")
        return frame.with_columns(request_id=pl.lit(answer["request_id"]))


def _person(user: Id | None, liked: Sequence[str] | str, disliked: Sequence[str]) -> dict[str, Any]:
    likes = [liked] if isinstance(liked, str) else list(liked)
    if (user is None) == (not likes):
        raise DataError("Wanted is either a user or what somebody new likes, and not both.")
    return {"user": user, "disliked": list(disliked)} | ({"liked": likes} if likes else {})


def _ids(frame: pl.DataFrame, name: str) -> list[Any]:
    """Return a column of ids as text."""
    if name not in frame.columns:
        raise DataError(f"There is no column {name}; there are {', '.join(frame.columns)}.")
    column = frame[name]
    if column.null_count():
        raise DataError(f"Row {column.is_null().arg_max()} (from 0) has no {name}.")
    if not (column.dtype == pl.String or column.dtype.is_integer() or not len(column)):
        raise DataError(
            f"The column {name} is of {column.dtype}; wanted are texts or whole numbers."
        )
    return column.cast(pl.String).to_list()


def _place(name: Id) -> str:
    """Return an id as a part of an address."""
    text = str(name)
    if {"", ".", ".."} & set(text.split("/")):
        raise DataError(
            f"The id {text!r:.80} cannot stand in an address: a part of it is empty or dots."
        )
    return quote(text, safe="")

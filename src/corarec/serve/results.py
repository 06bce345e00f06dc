"""What goes out; the OpenAPI document is made of it."""

from typing import Annotated, Any

from corarec.extras import needs

with needs("serve"):
    from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """What goes out."""

    model_config = ConfigDict(frozen=True)


class ScoredPair(Answer):
    """A pair with its score."""

    user: str
    item: str | None
    title: str
    score: Annotated[float, Field(description="The logit.")]
    probability: Annotated[float, Field(ge=0, le=1)]


class ScoreAnswer(Answer):
    """Pairs in the order in which they came."""

    request_id: str
    pairs: list[ScoredPair]


class RankedItem(Answer):
    """An item in its place."""

    rank: Annotated[int, Field(ge=1)]
    item: str | None
    title: str
    score: Annotated[float, Field(description="The logit.")]
    probability: Annotated[float, Field(ge=0, le=1)]
    candidate_rank: Annotated[
        int | None, Field(description="Its rank among the candidates by collaborative filtering.")
    ] = None
    cold: Annotated[
        bool | None,
        Field(description="Collaborative filtering knows nothing of it; null: unknown."),
    ] = None
    added: Annotated[bool, Field(description="It was added after training.")] = False
    explanation: dict[str, Any] | None = None


class RankAnswer(Answer):
    """The best items, the best first."""

    request_id: str
    user: str | None
    known: Annotated[bool, Field(description="Whether anything is known of the person.")]
    items: list[RankedItem]


class FeedbackAnswer(Answer):
    """What became of the events, which are durable now."""

    request_id: str
    accepted: Annotated[int, Field(ge=0)]
    new: Annotated[int, Field(ge=0, description="Those that were not there before.")]


class Item(Answer):
    """An item."""

    item: str
    title: str
    added: bool
    metadata: Annotated[dict[str, Any], Field(description="Of an item that was added.")] = {}


class ItemHit(Item):
    """An item that a search found."""

    match: Annotated[float, Field(ge=0, le=100)] = 100.0


class ItemsAnswer(Answer):
    """Items."""

    request_id: str
    items: list[ItemHit]


class ItemAnswer(Item):
    """An item that was added, or was there."""

    request_id: str
    new: bool


class KnownEvent(Answer):
    """What is known that a user did."""

    item: str | None
    title: str
    kind: str
    time: int | None
    stars: Annotated[float | None, Field(description="The rating, where the dataset has them.")]
    live: Annotated[bool, Field(description="Told to the service; else from the dataset.")]


class UserAnswer(Answer):
    """What is known of a user, newest first."""

    request_id: str
    user: str
    in_dataset: bool
    cold: Annotated[bool, Field(description="Collaborative filtering knows nothing of the user.")]
    events: list[KnownEvent]


class UsersAnswer(Answer):
    """Users."""

    request_id: str
    users: list[str]


class ForgottenAnswer(Answer):
    """What was forgotten."""

    request_id: str
    user: str
    events: Annotated[int, Field(description="Events that were deleted.")]


class RemovedAnswer(Answer):
    """What was removed."""

    request_id: str
    item: str


class HealthAnswer(Answer):
    """How the service is."""

    status: str
    reason: str | None = None
    store: str = "unknown"


class InfoAnswer(Answer):
    """What is served, and within which limits."""

    request_id: str
    version: str
    run: dict[str, Any]
    limits: dict[str, float | None]
    store: str


class Mistake(Answer):
    """What is wrong with a value."""

    place: str
    wanted: str
    came: str


class ProblemAnswer(Answer):
    """Why there is no result."""

    error: Annotated[str, Field(examples=["queue_full"])]
    message: str
    request_id: str
    details: list[Mistake] | None = None

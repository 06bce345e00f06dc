"""What comes in, with examples; the OpenAPI document is made of it."""

from typing import Annotated, Any, Self, TypeVar

from corarec.extras import needs
from corarec.runs.live.checks import checked_metadata
from corarec.serve.settings import LONGEST_ID, LONGEST_TITLE
from corarec.serve.texts import (
    LARGEST_NUMBER,
    Excluded,
    How,
    ItemId,
    Liked,
    Named,
    RequestId,
    Time,
    Title,
    UserId,
    readable,
)

with needs("serve"):
    from pydantic import (
        AfterValidator,
        BaseModel,
        ConfigDict,
        Discriminator,
        Field,
        StrictInt,
        Tag,
        model_validator,
    )

BodyT = TypeVar("BodyT", bound="Body")


class Body(BaseModel):
    """What comes in: unknown keys are mistakes.

    Of a long list the first mistake is told: to tell of each of half a million would hold up all.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class Pair(Body):
    """A user and an item, or the title of an item that nobody knows."""

    user: UserId
    item: ItemId | None = None
    title: Title | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        return _either(self, "item", "title")


class ScoreRequest(Body):
    """Pairs to be scored."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"pairs": [{"user": "17", "item": "3"}]}]}
    )

    pairs: Annotated[list[Pair], Field(min_length=1, fail_fast=True)]


class Person(Body):
    """Who asks: a user, or somebody new who likes some titles."""

    user: UserId | None = None
    liked: Liked | None = None
    disliked: Annotated[list[Named], Field(max_length=1_000, fail_fast=True)] = []

    @model_validator(mode="after")
    def _one_person(self) -> Self:
        if self.user is not None and self.disliked:
            raise ValueError("disliked titles are those of somebody new: leave out `user`")
        return _either(self, "user", "liked")


class RankRequest(Person):
    """Candidates of one's own, to be put in order."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"user": "17", "items": ["1", "2", "3"], "k": 2}]}
    )

    items: Annotated[list[ItemId], Field(description="Candidates by id.", fail_fast=True)] = []
    titles: Annotated[
        list[Title],
        Field(description="Candidates that nobody knows, by their title alone.", fail_fast=True),
    ] = []
    exclude: Excluded = []
    k: Annotated[StrictInt, Field(ge=1, le=1_000)] | None = None
    explain: Annotated[
        bool, Field(description="Say of each item in the answer why; k has to be small.")
    ] = False

    @model_validator(mode="after")
    def _some_candidates(self) -> Self:
        if not self.items and not self.titles:
            raise ValueError("wanted is at least one candidate in `items` or `titles`")
        if len(set(self.items)) < len(self.items):
            raise ValueError("an item stands twice in `items`")
        return self


class Filter(Body):
    """Which items may be in the answer."""

    where: Annotated[
        dict[Annotated[str, Field(max_length=100)], Any],
        Field(
            max_length=20,
            description="Column of the items' metadata to the value, or the values, wanted.",
            examples=[{"genres": ["Drama"]}],
        ),
    ] = {}
    year_from: Annotated[StrictInt, Field(ge=-10_000, le=10_000)] | None = None
    year_to: Annotated[StrictInt, Field(ge=-10_000, le=10_000)] | None = None
    seen: Annotated[bool, Field(description="Offer what the person has seen, too.")] = False
    added_only: Annotated[bool, Field(description="Only items that were added.")] = False


class RecommendRequest(Person):
    """Whom to recommend what."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"user": "17", "k": 5}]})

    k: Annotated[StrictInt, Field(ge=1, le=1_000)] = 10
    candidates: Annotated[
        StrictInt, Field(ge=1, le=1_000, description="How many the language model puts in order.")
    ] = 100
    exclude: Excluded = []
    filter: Filter = Filter()
    diversity: Annotated[
        float, Field(ge=0, le=1, description="0: the most probable first; towards 1: more mixed.")
    ] = 0.0

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.k > self.candidates:
            raise ValueError("k is larger than candidates; raise candidates")
        return self


class Event(Body):
    """What somebody says of an item."""

    user: UserId
    item: ItemId
    kind: How
    time: Time | None = None
    request_id: RequestId | None = None


class FeedbackRequest(Body):
    """Events; those with the same user, item, kind and time are one."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"events": [{"user": "17", "item": "3", "kind": "like", "time": 0}]}]
        }
    )

    events: Annotated[list[Event], Field(min_length=1, fail_fast=True)]


Told = Annotated[
    Annotated[FeedbackRequest, Tag("events")] | Annotated[Event, Tag("event")],
    Discriminator(
        lambda body: "events" if isinstance(body, dict) and "events" in body else "event"
    ),
]
"""One event, or several."""


OWN_COLUMNS = ("item", "title", "time", "self")
"""What is told of an item beside its metadata."""


class NewItem(Body):
    """An item by its title: scored at once, without training."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"item": "new-1", "title": "The Quiet Comet (2031)"}]}
    )

    item: ItemId
    title: Title
    metadata: Annotated[
        dict[
            Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")],
            Annotated[str, Field(max_length=LONGEST_TITLE), AfterValidator(readable)]
            | Annotated[StrictInt, Field(ge=-LARGEST_NUMBER, le=LARGEST_NUMBER)]
            | Annotated[
                list[Annotated[str, Field(max_length=LONGEST_ID), AfterValidator(readable)]],
                Field(max_length=50),
            ],
        ],
        Field(max_length=20, description="For filters, such as genres and year."),
    ] = {}

    @model_validator(mode="after")
    def _other_columns(self) -> Self:
        if taken := sorted(self.metadata.keys() & set(OWN_COLUMNS)):
            raise ValueError(f"wanted is another name than {taken[0]!r} in `metadata`")
        checked_metadata(self.metadata)  # what is acknowledged must count
        return self


def _either(body: BodyT, first: str, second: str) -> BodyT:
    if (getattr(body, first) is None) == (getattr(body, second) is None):
        raise ValueError(f"wanted is one of `{first}` and `{second}`, and not both")
    return body

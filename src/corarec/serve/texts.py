"""Ids, titles and times as they may come in."""

import unicodedata
from typing import Annotated, Any, Literal

from corarec.extras import needs
from corarec.runs.live import checked_name
from corarec.runs.live.checks import LAST_SECOND
from corarec.serve.settings import LONGEST_ID, LONGEST_TITLE
from corarec.text import is_steering, printable

with needs("serve"):
    from pydantic import AfterValidator, BeforeValidator, Field, StrictInt, WithJsonSchema

LARGEST_NUMBER = 2**63 - 1


def _text(value: Any) -> Any:
    """Take a whole number for the text of it."""
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > LARGEST_NUMBER:
            raise ValueError("wanted is a text, or a whole number of at most 19 digits")
        return str(value)
    return value


def _told_alike(value: str) -> str:
    """Return text that a live run takes, too: what is acknowledged must count."""
    return checked_name(readable(value), "text", LONGEST_TITLE)


def readable(value: str) -> str:
    """Return text that is neither empty nor steers a terminal."""
    bad = next((character for character in value if is_steering(character)), None)
    if bad is not None:
        raise ValueError(f"wanted is text without control characters; it holds {printable(bad)}")
    if not value.strip():
        raise ValueError("wanted is text that is not empty")
    return value


def _title(value: str) -> str:
    return _told_alike(unicodedata.normalize("NFC", readable(value)).strip())


def _id_schema(description: str, example: str) -> WithJsonSchema:
    return WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1, "maxLength": LONGEST_ID},
                {"type": "integer", "minimum": -LARGEST_NUMBER, "maximum": LARGEST_NUMBER},
            ],
            "description": description,
            "examples": [example],
        }
    )


_Id = Annotated[
    str,
    # Before what makes text of a number, so that lengths are told in characters.
    Field(min_length=1, max_length=LONGEST_ID),
    BeforeValidator(_text),
    AfterValidator(_told_alike),
]
UserId = Annotated[_Id, _id_schema("A user's id, that of the dataset or a new one.", "17")]
ItemId = Annotated[_Id, _id_schema("An item's id.", "1193")]
PathId = Annotated[
    str, Field(min_length=1, max_length=LONGEST_ID, examples=["17"]), AfterValidator(_told_alike)
]
Title = Annotated[
    str,
    Field(min_length=1, max_length=LONGEST_TITLE, examples=["The Royal Alien (1999)"]),
    AfterValidator(_title),
]
Named = Annotated[
    str,
    Field(min_length=1, max_length=LONGEST_TITLE),
    BeforeValidator(_text),
    AfterValidator(_told_alike),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1, "maxLength": LONGEST_TITLE},
                {"type": "integer", "minimum": -LARGEST_NUMBER, "maximum": LARGEST_NUMBER},
            ],
            "description": "An item's id or its exact title.",
            "examples": ["The Royal Alien (1999)"],
        }
    ),
]
Liked = Annotated[
    list[Named],
    Field(
        min_length=1,
        max_length=1_000,
        fail_fast=True,
        description="Instead of a user: titles or ids of items that somebody new likes, oldest "
        "first.",
        examples=[["The Royal Alien (1999)"]],
    ),
]
Time = Annotated[
    StrictInt,
    Field(ge=0, le=LAST_SECOND, description="UTC seconds since 1970.", examples=[1_700_000_000]),
]
How = Literal["like", "dislike", "seen"]
RequestId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="The `request_id` of the answer in which the item was shown.",
    ),
]
RepeatKey = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="A name that you make up for this request: sent again with it, it counts once.",
        examples=["5f0c1e9a-feedback-17"],
    ),
]
Excluded = Annotated[
    list[ItemId],
    Field(max_length=10_000, fail_fast=True, description="Items that are not to be in the answer."),
]

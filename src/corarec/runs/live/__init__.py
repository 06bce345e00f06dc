"""A run that learns while it is in use: what it is told of people and items, and its answers."""

from corarec.runs.live.checks import checked_name
from corarec.runs.live.people import People
from corarec.runs.live.run import LiveRun
from corarec.runs.live.state import NEWEST
from corarec.runs.live.types import (
    ASKED,
    Event,
    Filters,
    Hit,
    Item,
    Kind,
    Known,
    Limits,
    Ranked,
    Scored,
)

__all__ = [
    "ASKED",
    "NEWEST",
    "Event",
    "Filters",
    "Hit",
    "Item",
    "Kind",
    "Known",
    "Limits",
    "LiveRun",
    "People",
    "Ranked",
    "Scored",
    "checked_name",
]

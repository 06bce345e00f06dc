"""What a live run is told, checked."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from corarec.errors import DataError
from corarec.text import is_steering

LAST_SECOND = 253_402_300_799
"""The end of the year 9999."""
_VALUE_CHARS = 1_000


def checked_name(text: str, what: str, most: int = 500) -> str:
    """Return a name as it is.

    Raises
    ------
    DataError
        It is no text, empty, too long, or holds control characters.
    """
    if not isinstance(text, str) or not text.strip() or len(text) > most:
        shown = f"{text!r:.60}" if isinstance(text, str) else type(text).__name__
        raise DataError(
            f"The {what} is {shown}; wanted is a text of 1 to {most:,} characters that is not blank"
        )
    if any(map(is_steering, text)):
        raise DataError(f"The {what} {text!r:.60} holds characters that cannot be printed.")
    return text


def checked_time(time: int) -> int:
    """Return a time in UTC seconds.

    Raises
    ------
    DataError
        It is no whole number, or not between 1970 and 9999.
    """
    whole = isinstance(time, int | np.integer) and not isinstance(time, bool)
    if not whole or not 0 <= int(time) <= LAST_SECOND:
        raise DataError(
            f"The time is {time!r:.60}; wanted are whole UTC seconds from 0 to {LAST_SECOND}."
        )
    return int(time)


def checked_stars(stars: float | None) -> float | None:
    """Return a rating, or None.

    Raises
    ------
    DataError
        It is no finite number.
    """
    if stars is None:
        return None
    number = isinstance(stars, int | float | np.number) and not isinstance(stars, bool)
    if not number or not math.isfinite(stars) or abs(stars) > 1e9:
        raise DataError(f"The rating is {stars!r:.60}; wanted is a finite number or none.")
    return float(stars)


def checked_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is told of an item beside its title, without what is None.

    Raises
    ------
    DataError
        There are more than 50 columns, or a value is no text, finite number or short list of these.
    """
    kept: dict[str, Any] = {}
    if len(metadata) > 50:
        raise DataError(f"{len(metadata)} columns of metadata came; wanted are 50 at most.")
    for name, value in metadata.items():
        checked_name(name, "name of a column", 100)
        several = list(value) if isinstance(value, list | tuple) else [value]
        plain = all(
            part is None
            or isinstance(part, str | int | bool)
            or (isinstance(part, float) and np.isfinite(part))
            for part in several
        )
        if not plain or len(several) > 200 or len(str(value)) > _VALUE_CHARS:
            raise DataError(
                f"The metadata {name!r:.60} is {value!r:.60}; wanted is a text, a finite number or "
                f"a list of these, of {_VALUE_CHARS:,} characters at most."
            )
        if value is not None:
            kept[name] = several if isinstance(value, list | tuple) else value
    return kept


def bounded(value: int, name: str, least: int, most: int = 1_000_000) -> int:
    """Return a whole number as it is.

    Raises
    ------
    DataError
        It is none, or out of bounds.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise DataError(
            f"{name} is {value!r:.40}; wanted is a whole number from {least} to {most}."
        )
    return value

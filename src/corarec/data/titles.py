"""Titles as people write them: what web pages and spreadsheets left in them is mended."""

import html
import re
from collections.abc import Sequence

import polars as pl

from corarec.errors import ConfigError, did_you_mean
from corarec.text import JOINERS, is_steering, printable

_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_SPACES = re.compile(r"\s+")
_SUSPICIOUS = r"&[#A-Za-z]\w*;|[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]|^\s|\s$|\s\s|[^\S ]"
LONGEST_EXACT = 1_000
NESTED = 3
"""times that a text may have been made safe for a page, as in `&amp;amp;`"""


def mend_titles(
    items: pl.DataFrame, longest: int, *, exact: bool = False
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Mend the column `title` and say how many were mended in which way, with an example of each.

    HTML entities become their characters, control and direction characters go, spaces are single
    and inside, letters and their accents are one character (NFC, which is not worth a note), and a
    title of more than `longest` characters is cut. `exact` titles are those that
    others published: they stay, but for cutting at `LONGEST_EXACT` or more.
    """
    longest = max(longest, LONGEST_EXACT) if exact else longest
    if not exact:
        items = items.with_columns(pl.col("title").str.normalize("NFC"))
    is_suspicious = pl.col("title").str.contains(_SUSPICIOUS) | (
        pl.col("title").str.len_chars() > longest
    )
    places = items.select(pl.arg_where(is_suspicious)).to_series().to_list()
    titles = items["title"].to_list() if places else []
    found: dict[str, list[tuple[str, str]]] = {}
    for n in places:
        title = before = titles[n]
        for what, mend in _STEPS.items():
            if (mended := mend(title)) != title:
                found.setdefault(what, []).append((title, mended))
                title = title if exact else mended
        if len(title) > longest:
            title = title[: longest - 1].rstrip() + "…"
            what = f"cut to {longest} characters (longest_title)"
            found.setdefault(what, []).append((before, title))
        titles[n] = title
    notes = tuple(
        f"{len(cases):,} title{'s' * (len(cases) > 1)} "
        f"{'left as published' if exact and what in _STEPS else 'mended'}: {what}, such as "
        f"'{printable(cases[0][0], 60)}' to '{printable(cases[0][1], 60)}'"
        for what, cases in found.items()
    )
    return (
        items.with_columns(title=pl.Series(titles, dtype=pl.String)) if places else items
    ), notes


def tell_beside_titles(
    items: pl.DataFrame, columns: Sequence[str]
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Put what columns say of an item behind its title: `Heat (1995) [Crime, Drama; 1995]`.

    Lists, and texts parted by `|`, are joined by commas; what is not there is left out, and a title
    of which nothing is there, or that is missing itself, stays.

    Raises
    ------
    ConfigError
        There is no such column.
    """
    known = [name for name in items.columns if name not in ("item", "title")]
    if unknown := [name for name in columns if name not in known]:
        raise ConfigError(
            f"There is no column {unknown[0]!r} of items to put beside the titles; this source "
            f"has {', '.join(known) or 'no other'}. {did_you_mean(unknown[0], known)}".rstrip()
        )
    if not columns:
        return items, ()
    said = [[_told(value) for value in items[name].to_list()] for name in columns]
    titles = items["title"].to_list()
    for n, title in enumerate(titles):
        parts = [values[n] for values in said if values[n]]
        if parts and title and title.strip():
            titles[n] = f"{title} [{'; '.join(parts)}]"
    changed = sum(old != new for old, new in zip(items["title"].to_list(), titles, strict=True))
    example = next((title for title in titles if title and title.endswith("]")), "")
    note = (
        f"{changed:,} titles are followed by {' and '.join(columns)}, such as "
        f"'{printable(example, 80)}'"
    )
    return items.with_columns(title=pl.Series(titles, dtype=pl.String)), (note,)


def _told(value: object) -> str:
    values = value if isinstance(value, list) else str("" if value is None else value).split("|")
    return ", ".join(text for each in values if each is not None and (text := str(each).strip()))


def _unescape(title: str) -> str:
    for _ in range(NESTED):
        plain = _ENTITY.sub(lambda match: html.unescape(match.group()), title)
        if plain == title:
            break
        title = plain
    return title


def _without_steering(title: str) -> str:
    text = _TERMINAL.sub("", title)
    # A line's end or a tab parts words; what is invisible does not.
    return "".join(
        " " if character.isspace() and is_steering(character) else character
        for character in text
        if character.isspace() or not is_steering(character)
    )


def _spaced(title: str) -> str:
    return _SPACES.sub(" ", title).strip(f" {JOINERS}")


_STEPS = {
    "HTML entities": _unescape,
    "control or direction characters removed": _without_steering,
    "outer or repeated spaces": _spaced,
}


def shared_titles(items: pl.DataFrame) -> tuple[str, ...]:
    """Say how many items have the title of another one."""
    shared = items.filter(pl.col("title").is_duplicated() & (pl.col("title") != ""))
    if shared.is_empty():
        return ()
    return (
        f"{shared.height:,} of {items.height:,} items share their title with another one, such as "
        f"'{printable(shared['title'][0], 60)}': to a language model they are the same",
    )

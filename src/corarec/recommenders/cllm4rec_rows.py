"""What CLLM4Rec reads of a dataset: who likes what, reviews, and what is known of items."""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import polars as pl

from corarec.data import Dataset
from corarec.types import Histories, IntArray, Pairs

Content = Literal["auto", "reviews", "descriptions", "both", "none"]
NO_CONTENT = ("item_id", "raw_id", "title")
Contents = tuple[IntArray, IntArray, list[str]]
"""Users (0 for a description), items and texts, as long as each other."""


def contents(dataset: Dataset, rows: IntArray, wanted: Content) -> Contents:
    """Return the texts that are wanted, reviews those of some rows of the dataset."""
    if wanted == "auto":
        wanted = "descriptions" if dataset.texts is None else "reviews"
    found = [
        *([reviews(dataset, rows)] if wanted in ("reviews", "both") else []),
        *([descriptions(dataset)] if wanted in ("descriptions", "both") else []),
    ]
    users, items = (
        np.concatenate([np.zeros(0, np.int64), *(each[n] for each in found)]) for n in (0, 1)
    )
    return users, items, [text for each in found for text in each[2]]


def reviews(dataset: Dataset, rows: IntArray) -> Contents:
    """Return what was written with some rows of a dataset; nothing where it has no reviews."""
    if dataset.texts is None:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), []
    found = dataset.texts.filter(pl.col("row").is_in(rows.tolist()), pl.col("text").is_not_null())
    users, items = (found[name].to_numpy().astype(np.int64) for name in ("user_id", "item_id"))
    return users, items, found["text"].to_list()


def descriptions(dataset: Dataset) -> Contents:
    """Return for every item its title and what else its columns say, such as its genres."""
    texts = [" ".join(_sentences(item)) for item in dataset.items.iter_rows(named=True)]
    items = np.array([n for n, text in enumerate(texts, 1) if text], dtype=np.int64)
    return np.zeros(len(items), np.int64), items, [texts[item - 1] for item in items.tolist()]


def users_with_items(pairs: Pairs) -> tuple[IntArray, Histories]:
    """Return each user of some pairs once, and the items of each, ascending and once each."""
    both = np.unique(np.stack([pairs.user_ids, pairs.item_ids], axis=1), axis=0)
    users, start = np.unique(both[:, 0], return_index=True)
    end = np.append(start[1:], len(both)).astype(np.int64)
    return users, Histories(both[:, 1], start.astype(np.int64), end)


def _sentences(item: dict[str, Any]) -> Iterator[str]:
    if title := item["title"].strip():
        yield f"{title}."
    for name, value in item.items():
        if name not in NO_CONTENT and (words := _words(value)):
            yield f"{name.replace('_', ' ').capitalize()}: {words}."


def _words(value: Any) -> str:
    """Return what a column says of an item; several values as they are often joined."""
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(filter(None, map(_words, value)))
    return ", ".join(filter(None, (part.strip() for part in str(value).split("|"))))

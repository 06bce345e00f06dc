"""What of a dataset a system needs once it is trained: items, users and what these did.

The rows with their splits, ratings and times are for training and measuring: see `Dataset`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from corarec.data.fingerprint import items_digest, titles_digest, users_digest
from corarec.data.history import Timeline
from corarec.data.vocabulary import Vocabulary
from corarec.errors import ArtifactError
from corarec.files import read_json
from corarec.types import Fingerprint, IntArray, Log

NAMES, ROWS = "names.json", "rows.safetensors"
_FORMAT = 1


@dataclass(frozen=True)
class Catalogue:
    """The items of a dataset."""

    titles: Sequence[str]
    """By item id; position 0 is padding."""
    noun: str
    """What an item is called: "movie"."""
    nouns: str
    vocabulary: Vocabulary
    """Items by the ids of the source."""
    popularity: IntArray
    """How many training rows like each item: [I + 1]."""
    recent: IntArray
    """The same of the latest fifth of the training rows: [I + 1]."""

    @property
    def num_items(self) -> int:
        """`I`; item ids are 1..I."""
        return len(self.titles) - 1


@dataclass(frozen=True)
class Knowledge:
    """All that is known of items and users when a trained system is used."""

    name: str
    """The dataset's short name."""
    catalogue: Catalogue
    num_users: int
    """`U`, those who were left out included."""
    users: Vocabulary
    """Users by the ids of the source; empty where known users were left out."""
    timeline: Timeline
    """What each user did, in order."""
    fingerprint: Fingerprint
    """The dataset that it is of."""

    def __repr__(self) -> str:
        return (
            f"Knowledge({self.name!r}, {len(self.users):,} known users, "
            f"{self.catalogue.num_items:,} items)"
        )

    def log(self) -> Log | None:
        """Return all rows with their labels; None where their times are not known."""
        line = self.timeline
        if line.times is None:
            return None
        stars = np.full(len(line.labels), np.nan) if line.stars is None else line.stars
        return Log(line.user_ids, line.item_ids, line.labels, line.times, stars)

    def without_times(self, *, keep_stars: bool = False) -> "Knowledge":
        """Return the same without the times of the rows, and without their ratings."""
        line = self.timeline
        columns = line.user_ids, line.item_ids, line.labels
        stars = line.stars if keep_stars else None
        bare = Timeline(*columns, len(self.users), stars=stars, met=line.met)
        return replace(self, timeline=bare)

    def without_users(self) -> "Knowledge":
        """Return the same without known users: no raw id and no history."""
        none = np.zeros(0, dtype=np.int64)
        return replace(self, users=Vocabulary([]), timeline=Timeline(none, none, none, 0))

    def write(self, folder: Path) -> None:
        """Write two files into an existing folder; the same knowledge gives the same bytes."""
        names = {
            "format": _FORMAT,
            "name": self.name,
            "noun": self.catalogue.noun,
            "nouns": self.catalogue.nouns,
            "fingerprint": self.fingerprint.model_dump(mode="json"),
            "num_users": self.num_users,
            "titles": self.catalogue.titles[1:],
            "items": self.catalogue.vocabulary.raw_ids,
            "users": self.users.raw_ids,
        }
        (folder / NAMES).write_text(json.dumps(names, indent=1, ensure_ascii=False) + "\n", "utf-8")
        rows = {
            "popularity": self.catalogue.popularity,
            "recent": self.catalogue.recent,
            "user_ids": self.timeline.user_ids,
            "item_ids": self.timeline.item_ids,
            "labels": self.timeline.labels.astype(np.int8),
        }
        if self.timeline.times is not None:
            rows["times"] = self.timeline.times
        if self.timeline.stars is not None:
            rows["stars"] = self.timeline.stars
        if self.timeline.met is not None:
            rows["met"] = self.timeline.met.astype(np.int8)
        save_file({name: np.ascontiguousarray(rows[name]) for name in rows}, folder / ROWS)

    @classmethod
    def read(cls, folder: Path) -> "Knowledge":
        """Read what `write` wrote.

        Raises
        ------
        ArtifactError
            A file is missing, damaged, of another version, or does not fit its fingerprint.
        """
        names = read_json(folder / NAMES)
        if not isinstance(names, dict) or names.get("format") != _FORMAT:
            raise _damaged(folder / NAMES, f"it is not of format {_FORMAT}")
        try:
            rows = load_file(folder / ROWS)
            knowledge = cls._made(names, rows)
        except (SafetensorError, OSError, LookupError, TypeError, ValueError) as error:
            raise _damaged(folder, f"{type(error).__name__}: {error}") from error
        if wrong := knowledge._mistakes():
            raise _damaged(folder, wrong)
        return knowledge

    @classmethod
    def _made(cls, names: dict[str, Any], rows: dict[str, np.ndarray]) -> "Knowledge":
        for key in ("titles", "items", "users"):
            if not all(isinstance(text, str) for text in names[key]):
                raise ValueError(f"{key} must be texts")
        user_ids, item_ids, labels = (
            rows[key].astype(np.int64) for key in ("user_ids", "item_ids", "labels")
        )
        times = rows["times"].astype(np.int64) if "times" in rows else None
        met = rows["met"].astype(np.bool_) if "met" in rows else None
        count = len(names["users"])
        return cls(
            name=str(names["name"]),
            catalogue=Catalogue(
                titles=["", *names["titles"]],
                noun=str(names["noun"]),
                nouns=str(names["nouns"]),
                vocabulary=Vocabulary(names["items"]),
                popularity=rows["popularity"].astype(np.int64),
                # Runs that were packed before it was counted know only the whole.
                recent=rows.get("recent", rows["popularity"]).astype(np.int64),
            ),
            num_users=int(names["num_users"]),
            users=Vocabulary(names["users"]),
            timeline=Timeline(
                user_ids, item_ids, labels, count, times, stars=rows.get("stars"), met=met
            ),
            fingerprint=Fingerprint.model_validate(names["fingerprint"]),
        )

    def _mistakes(self) -> str | None:
        """Return what does not fit together."""
        catalogue, timeline = self.catalogue, self.timeline
        digests = {
            "items": items_digest(catalogue.vocabulary.raw_ids),
            "titles": titles_digest(catalogue.titles[1:], catalogue.noun, catalogue.nouns),
        }
        if self.users:
            if len(self.users) != self.num_users:
                return f"{len(self.users)} users are named, and there are {self.num_users}"
            digests["users"] = users_digest(self.users.raw_ids)
        for name, digest in digests.items():
            if getattr(self.fingerprint, name) != digest:
                return f"its {name} are not those of the fingerprint"
        size = catalogue.num_items
        counts = catalogue.popularity, catalogue.recent
        if len(catalogue.vocabulary) != size or any(each.shape != (size + 1,) for each in counts):
            return "titles, ids and popularity differ in number"
        user_ids, item_ids, labels = timeline.user_ids, timeline.item_ids, timeline.labels
        if not user_ids.shape == item_ids.shape == labels.shape == (len(user_ids),):
            return "the columns of the rows differ in length"
        if timeline.times is not None and timeline.times.shape != user_ids.shape:
            return "there are not as many times as rows"
        if timeline.stars is not None and timeline.stars.shape != user_ids.shape:
            return "there are not as many ratings as rows"
        if timeline.met is not None and timeline.met.shape != user_ids.shape:
            return "there is not a mark of what was met for every row"
        if len(user_ids) == 0:
            return None
        if user_ids[0] < 1 or user_ids[-1] > len(self.users) or (np.diff(user_ids) < 0).any():
            return f"user ids must ascend from 1 to {len(self.users)}"
        if item_ids.min() < 1 or item_ids.max() > size:
            return f"item ids must lie in 1 to {size}"
        if not np.isin(labels, (0, 1)).all():
            return "labels must be 0 or 1"
        return None


def _damaged(path: Path, what: str) -> ArtifactError:
    return ArtifactError(
        f"{path} is damaged or was written by another version of corarec ({what}). Pack the run "
        "again with `corarec pack`."
    )

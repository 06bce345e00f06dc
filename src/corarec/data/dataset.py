"""`Dataset`: labelled, split and ordered interactions with their titles, in memory and on disk.

On disk a dataset is a folder: `interactions.parquet`, `items.parquet`, `users.parquet`, where the
source has reviews also `texts.parquet`, and `card.json`.
"""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from corarec.data.card import DatasetCard
from corarec.data.fingerprint import dataset_fingerprint
from corarec.data.history import KnowledgePolicy, Timeline
from corarec.data.knowledge import Catalogue, Knowledge
from corarec.data.storage import SPLITS, FilesState, files_state, load_folder, save_folder
from corarec.data.vocabulary import Vocabulary
from corarec.errors import ConfigError
from corarec.types import Fingerprint, FloatArray, Histories, IntArray, Log, Pairs, ScoreTable

Split = Literal["train", "valid", "test"]
Rows = Split | IntArray
RECENT = 0.2
"""The share of the training rows, the latest, over which recent popularity is counted."""

_FINGERPRINTS: dict[FilesState, Fingerprint] = {}
"""Of datasets that this process has read, by the state of their files."""


@dataclass(frozen=True)
class Dataset:
    """Interactions in the order of users, then of time, with the tables around them."""

    card: DatasetCard
    interactions: pl.DataFrame
    """[N] user_id, item_id, rating (null where the source has none), timestamp (UTC seconds),
    label, split, warm; a synthetic world adds true_probability"""
    items: pl.DataFrame
    """[I] item_id 1..I, raw_id, title, and what else the source knows"""
    users: pl.DataFrame
    """[U] user_id 1..U, raw_id, and what else the source knows"""
    texts: pl.DataFrame | None = None
    """row (of `interactions`), user_id, item_id, text"""
    earlier: pl.DataFrame | None = None
    """The rows from before train, where `prepare` kept them: the same columns, the split `earlier`;
    no row of `interactions`, no history and no count sees them"""
    policy: KnowledgePolicy = field(default_factory=KnowledgePolicy)
    """Which labels a row may see; see `under`"""

    def __len__(self) -> int:
        return self.interactions.height

    @property
    def num_users(self) -> int:
        """`U`; user ids are 1..U."""
        return self.users.height

    @property
    def num_items(self) -> int:
        """`I`; item ids are 1..I."""
        return self.items.height

    def __repr__(self) -> str:
        return (
            f"Dataset({self.card.name!r}, {len(self):,} interactions, {self.num_users:,} users, "
            f"{self.num_items:,} items)"
        )

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """Digests of what is in memory; 0.2 s per million rows, once for unchanged files."""
        state: FilesState | None = self.__dict__.get("_files_state")
        if state is not None and state in _FINGERPRINTS:
            return _FINGERPRINTS[state]
        found = dataset_fingerprint(
            self.card, self.interactions, self.items, self.users, self.earlier
        )
        if state is not None:
            _FINGERPRINTS[state] = found
        return found

    @cached_property
    def timeline(self) -> Timeline:
        """What is known of each user, and when."""
        columns = self._column("user_id"), self._column("item_id"), self._label
        hidden = None
        if self.card.histories == "train":
            hidden = (self.interactions["split"] != "train").to_numpy()
        times, stars = self._column("timestamp"), _stars(self.interactions)
        met = self._label == 1 if self.card.negatives_drawn else None
        return Timeline(*columns, self.num_users, times, hidden, stars, met)

    def under(self, policy: KnowledgePolicy) -> "Dataset":
        """Return the same data, of whose labels every row sees what a policy allows."""
        if policy == self.policy:
            return self
        other = replace(self, policy=policy)
        if "_files_state" in self.__dict__:
            other.__dict__["_files_state"] = self.__dict__["_files_state"]
        return other

    @cached_property
    def log(self) -> Log:
        """The rows whose labels may become known: with `streaming` all, else those of train.

        Where the parts do not follow each other in time it is always those of train.
        """
        if self.policy.policy == "streaming" and self.card.histories == "all":
            return _log(self.interactions)
        return _log(self.interactions.filter(pl.col("split") == "train"))

    @cached_property
    def earlier_log(self) -> Log | None:
        """The rows from before train, where there are any."""
        return None if self.earlier is None else _log(self.earlier)

    def learnable(self) -> IntArray:
        """Return the training rows that may be learned from under the policy, ascending."""
        rows = self.rows("train")
        return rows[self.policy.to_learn_from(self._column("timestamp")[rows])]

    @cached_property
    def catalogue(self) -> Catalogue:
        """The items, as whoever uses a trained system knows them."""
        return Catalogue(
            titles=self.titles,
            noun=self.card.item_noun_singular,
            nouns=self.card.item_noun_plural,
            vocabulary=self.item_vocabulary,
            popularity=self.popularity,
            recent=self.recent_popularity,
        )

    @cached_property
    def knowledge(self) -> Knowledge:
        """What a trained system needs of all this."""
        found = Knowledge(
            name=self.card.name,
            catalogue=self.catalogue,
            num_users=self.num_users,
            users=self.user_vocabulary,
            timeline=self.timeline,
            fingerprint=self.fingerprint,
        )
        # Where only training rows may be known, a CF model has them itself.
        return found if self.card.histories == "all" else found.without_times(keep_stars=True)

    @cached_property
    def user_vocabulary(self) -> Vocabulary:
        """Users by the ids of the source."""
        return Vocabulary(self.users["raw_id"].to_list())

    @cached_property
    def item_vocabulary(self) -> Vocabulary:
        """Items by the ids of the source."""
        return Vocabulary(self.items["raw_id"].to_list())

    @cached_property
    def titles(self) -> list[str]:
        """Titles by item id; the padding id has the empty string."""
        return ["", *self.items["title"].to_list()]

    @cached_property
    def popularity(self) -> IntArray:
        """How many training rows like each item: [I + 1]."""
        return self._liked_in(self._in_train)

    @cached_property
    def recent_popularity(self) -> IntArray:
        """The same of the latest fifth of the training rows, those of one second together."""
        times = np.sort(self._column("timestamp")[self._in_train])
        first = times[math.floor(len(times) * (1 - RECENT))] if len(times) else 0
        return self._liked_in(self._in_train & (self._column("timestamp") >= first))

    def _liked_in(self, rows: np.ndarray) -> IntArray:
        liked = self._column("item_id")[rows & (self._label == 1)]
        return np.bincount(liked, minlength=self.num_items + 1)

    def rows(self, split: Split) -> IntArray:
        """Return the numbers of the rows of one split, ascending."""
        return np.flatnonzero((self.interactions["split"] == split).to_numpy())

    def pairs(self, rows: Rows) -> Pairs:
        """Return what a recommender may see of `rows`, a split's name or row numbers."""
        rows = self._row_numbers(rows)
        return Pairs(
            user_ids=self._column("user_id")[rows],
            item_ids=self._column("item_id")[rows],
            histories=self._past(rows, liked=True),
            rows=rows,
            times=(times := self._column("timestamp")[rows]),
            known_until=self.policy.known_until(times, self._in_train[rows]),
            disliked=self._past(rows, liked=False),
        )

    def _past(self, rows: IntArray, *, liked: bool) -> Histories:
        streaming = self.policy.policy == "streaming"
        return self.timeline.before_rows(rows, liked=liked, earlier_seconds=streaming)

    def labels(self, rows: Rows) -> IntArray:
        """Return the labels of `rows`: [N] of 0 or 1."""
        return self._label[self._row_numbers(rows)]

    def stars(self, rows: Rows) -> FloatArray:
        """Return the ratings of `rows`, NaN where the source has none: [N]."""
        return _stars(self.interactions[self._row_numbers(rows)])

    def score_table(self, rows: Rows, scores: FloatArray) -> ScoreTable:
        """Put scores beside the truth of `rows`.

        Raises
        ------
        ValueError
            There is not exactly one score per row.
        """
        rows = self._row_numbers(rows)
        if len(scores) != len(rows):
            raise ValueError(
                f"{len(scores)} scores came for {len(rows)} rows; pass one score per row, "
                "in the order of the rows."
            )
        return ScoreTable(
            user_ids=self._column("user_id")[rows],
            item_ids=self._column("item_id")[rows],
            labels=self._label[rows],
            warm=self.interactions["warm"].to_numpy()[rows],
            scores=np.asarray(scores, dtype=np.float64),
        )

    def sample(self, split: Split, *, fraction: float, seed: int) -> IntArray:
        """Draw rows of one split without replacement, as `DataFrame.sample` of pandas does.

        `sample("valid", fraction=0.5, seed=2023)` is CoLLM's `valid_small` on ML-1M, row for row
        and in its order (`frac=0.5, random_state=2023` there).

        Raises
        ------
        ConfigError
            No such split, `fraction` is not from 0 to 1, or `seed` not from 0 to 2**32 - 1.
        """
        if split not in SPLITS or not 0 <= fraction <= 1 or not 0 <= seed < 2**32:
            raise ConfigError(
                f"A share of {fraction!r} of the split {split!r} with the seed {seed!r} was asked "
                f"for; wanted are a share from 0 to 1, one of {', '.join(SPLITS)}, and a seed from "
                "0 to 2**32 - 1."
            )
        rows = self.rows(split)
        # pandas draws with the legacy generator; no other one gives the same rows.
        generator = np.random.RandomState(seed)
        return rows[generator.choice(len(rows), size=round(fraction * len(rows)), replace=False)]

    def save(self, path: Path) -> None:
        """Write the dataset folder; it appears whole or not at all.

        Raises
        ------
        ConfigError
            Something else than a dataset, as corarec wrote it, stands at `path`.
        """
        tables = self.interactions, self.items, self.users, self.texts, self.earlier
        save_folder(path, self.card, *tables)

    @classmethod
    def load(cls, path: Path) -> "Dataset":
        """Read a dataset folder.

        Raises
        ------
        ArtifactError
            A file is missing, damaged, or does not fit the others.
        """
        before = files_state(Path(path))
        dataset = cls(*load_folder(Path(path)))
        if before is not None and before == files_state(Path(path)):
            dataset.__dict__["_files_state"] = before
        return dataset

    @cached_property
    def _in_train(self) -> np.ndarray:
        return (self.interactions["split"] == "train").to_numpy()

    @cached_property
    def _label(self) -> IntArray:
        return self._column("label")

    def _column(self, name: str) -> IntArray:
        return self.interactions[name].to_numpy().astype(np.int64, copy=False)

    def _row_numbers(self, rows: Rows) -> IntArray:
        return self.rows(rows) if isinstance(rows, str) else rows


def _log(rows: pl.DataFrame) -> Log:
    user_ids, item_ids, labels, times = (
        rows[name].to_numpy().astype(np.int64)
        for name in ("user_id", "item_id", "label", "timestamp")
    )
    return Log(user_ids, item_ids, labels, times, _stars(rows))


def _stars(rows: pl.DataFrame) -> FloatArray:
    return rows["rating"].cast(pl.Float64).fill_null(float("nan")).to_numpy()

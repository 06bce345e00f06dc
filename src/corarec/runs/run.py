"""A trained run, open for use."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from scipy.special import expit

from corarec.cf import VectorSource
from corarec.data import Dataset, Knowledge
from corarec.errors import ArtifactError, DataError
from corarec.provenance import code_digest, versions
from corarec.recipe import RunConfig
from corarec.recommenders import RECOMMENDERS
from corarec.recommenders.language import LanguageRecommender
from corarec.runs.lora import ExportedLora, export_pair
from corarec.runs.open import Parts, open_run
from corarec.runs.packed import unpacked
from corarec.runs.ranking import read_ranking
from corarec.runs.work import RunPlace, TableWork, score_chunks
from corarec.score import batches, scorer
from corarec.score.context import Context
from corarec.score.explain import Explanation, explain
from corarec.score.joined import JoinedRanking
from corarec.score.people import Directory
from corarec.score.pieces import PIECE_BATCHES
from corarec.score.ranker import RANKED_PAIRS, Ranker
from corarec.score.recommend import recommend
from corarec.score.table import PairTable, score_file, score_frame
from corarec.types import FloatArray
from corarec.workers.crews import HERE, Hands
from corarec.workers.parts import Parts as FinishedParts


@dataclass(frozen=True)
class Run:
    """A run folder with its parts loaded; see `load_run`."""

    folder: Path
    """The run folder, or the archive of a packed run."""
    parts: Parts
    identity: str
    """Names config and weights."""
    joined: JoinedRanking | None = None
    """How it is joined with its CF model and popularity to recommend, where that was learned."""

    def __repr__(self) -> str:
        cf = f", cf={self.cf.name!r}" if self.cf else ""
        data = self.parts.splits or self.knowledge
        return f"Run({str(self.folder)!r}, system={self.config.system.name!r}{cf}, {data})"

    @property
    def config(self) -> RunConfig:
        """Its recipe."""
        return self.parts.config

    @property
    def knowledge(self) -> Knowledge:
        """What is known of items and users."""
        return self.parts.knowledge

    @property
    def cf(self) -> VectorSource | None:
        """Its CF model."""
        return self.parts.cf

    @property
    def recommender(self) -> LanguageRecommender:
        """Its system, with the best weights."""
        return self.parts.recommender

    @property
    def dataset(self) -> Dataset:
        """The whole dataset, for measuring.

        Raises
        ------
        ArtifactError
            The run is packed and was opened without it.
        """
        if self.parts.splits is None:
            raise ArtifactError(
                f"{self.folder} is a packed run: it holds what it needs to recommend and to score, "
                "but not the splits of its dataset, on which it is measured. Say where the dataset "
                "is with --data FOLDER (in Python: load_run(run, data=FOLDER))."
            )
        if self.folder.is_file():
            raise ArtifactError(
                f"{self.folder} is an archive, in which no results can be kept. Unpack it into a "
                "folder and measure that."
            )
        return self.parts.splits

    def score(
        self, pairs: pl.DataFrame, *, progress: Callable[[int], None] | None = None
    ) -> pl.DataFrame:
        """Score pairs: columns `user` and `item` (raw ids) in, `score` and `probability` added.

        A user's prompt and vectors use all that the dataset knows of the user, whatever its split:
        this is for serving. To measure a system use `corarec evaluate`, where a pair sees only what
        came before it.
        """
        return score_frame(self.scorer, self.directory, pairs, progress=progress)

    def score_file(
        self,
        source: Path,
        output: Path,
        *,
        overwrite: bool = False,
        hands: Hands = HERE,
        progress: Callable[[int], None] | None = None,
    ) -> int:
        """Score a file of pairs into another (Parquet, CSV or TSV, by suffix); resumable.

        A file that stands at `output` is replaced only with `overwrite`, an input never. Returns
        the number of rows. `hands` says how many processes do it; the scores have the same bits
        however many.
        """

        def do(
            table: PairTable, chunk_rows: int, parts: FinishedParts, finished: Collection[int]
        ) -> Iterator[tuple[int, FloatArray]]:
            work = TableWork(
                run=self.place,
                rows=table.rows,
                chunk_pairs=chunk_rows,
                path=table.path,
                first_row=table.first_row,
                origin=table.origin,
            )
            return score_chunks(self, work, parts, hands, progress, finished, keep=False)

        return score_file(
            do,
            self.directory,
            source,
            output,
            owner=self.owner,
            overwrite=overwrite,
            inputs=self.config.data.glob("*.parquet") if self.parts.splits else (),
        )

    def recommend(
        self,
        user: str | int | None = None,
        *,
        liked: Sequence[str] | str = (),
        k: int = 10,
        candidates: int = 100,
    ) -> pl.DataFrame:
        """Recommend to a known user (raw id), or to a new one who liked some titles (or one).

        Returns
        -------
        Columns rank, item (raw id), title, probability, score (logit) and candidate_rank. Where
        weights were learned (`corarec learn-ranking`), the order joins several parts, see
        `order_words`, and is not that of the score.

        Raises
        ------
        DataError
            The user or a title is unknown, or neither or both of `user` and `liked` came.
        """
        if isinstance(liked, str):
            liked = [liked]
        if not (isinstance(k, int) and isinstance(candidates, int) and 0 < k <= candidates):
            raise DataError(
                f"k is {k!r} and candidates is {candidates!r}; wanted is at least 1 item, and no "
                "more than there are candidates."
            )
        context = self.directory.person(user, list(liked))
        seen = context.liked
        if context.user_id:
            seen = self.knowledge.timeline.seen(context.user_id)
        return recommend(
            self.scorer,
            self.cf,
            self.knowledge.catalogue,
            context,
            seen,
            count=k,
            candidates=candidates,
            joined=self.joined,
        )

    def order_words(self, user: str | int | None = None, *, liked: Sequence[str] | str = ()) -> str:
        """Say what the order of `recommend` is made of for a person.

        Raises
        ------
        DataError
            As `recommend`.
        """
        if self.joined is None:
            first = self.cf.name if self.cf else "popularity"
            return f"the run's score, of the first candidates of {first}"
        liked = [liked] if isinstance(liked, str) else list(liked)
        return self.joined.words(self.directory.person(user, liked))

    def score_title(self, user: str | int, title: str) -> float:
        """Return the probability that a known user enjoys an item of which only the title is known.

        Raises
        ------
        DataError
            The user is unknown, or the title is empty.
        """
        context = self.directory.known(self.directory.user(str(user)))
        item, new_titles = self.directory.new_item(title)
        logits = self.scorer.score_items(context, np.array([item]), new_titles=new_titles)
        return float(expit(logits[0]))

    def explain(
        self,
        user: str | int | None = None,
        item: str | int | None = None,
        *,
        liked: Sequence[str] | str = (),
        title: str | None = None,
    ) -> Explanation:
        """Say how the answer for one pair moves when one thing is left out at a time.

        A known user (raw id) or the titles that a new one liked, and an item (raw id) or the title
        of a new one. What can be left out: what CF knows of the user, of the item and of both, each
        liked title that the prompt shows, and the increment.

        Raises
        ------
        DataError
            The user, the item or a title is unknown, or neither or both of two came.
        """
        context = self.directory.person(user, [liked] if isinstance(liked, str) else list(liked))
        return self.explain_in(context, *self.directory.thing(item, title))

    def explain_in(
        self, context: Context, item_id: int, new_titles: Sequence[str] = ()
    ) -> Explanation:
        """As `explain`, for what is known of a person at any moment."""
        pair = context.pairs(np.array([item_id]))
        return explain(
            self.scorer,
            self.knowledge.catalogue,
            context,
            item_id,
            num_shown=int(self.recommender.shown(pair, new_titles)[0]),
            new_titles=new_titles,
            frozen=self.recommender.frozen(),
        )

    def export_lora(
        self,
        output: Path | str,
        user: str | int,
        item: str | int | None = None,
        *,
        title: str | None = None,
    ) -> ExportedLora:
        """Write the weights that a known user, or a user and an item, get as a plain PEFT LoRA.

        Parameters
        ----------
        output
            A folder; one that an earlier export wrote, unchanged since, is replaced.
        item, title
            The item's raw id, or the title of a new one, of which CF knows nothing; with neither
            the weights are of the user alone.

        Raises
        ------
        ConfigError
            The system has no weights of a pair, or they act on a part of the prompt only; the
            frozen model stands nowhere; or something else stands at `output`.
        DataError
            The user or the item is unknown.
        """
        context = self.directory.known(self.directory.user(str(user)))
        if item is None and title is None:
            item_id, new_titles = 0, list[str]()
        else:
            item_id, new_titles = self.directory.thing(item, title)
        pair = context.pairs(np.array([item_id]))
        return export_pair(self.folder, self.parts, pair, new_titles, Path(output))

    @property
    def scores_catalogues(self) -> bool:
        """Whether its system scores all items in one pass."""
        return hasattr(RECOMMENDERS[self.config.system.name], "catalogue_logits")

    @property
    def place(self) -> RunPlace:
        """Where other processes find it."""
        data = self.config.data.absolute() if self.parts.splits else None
        return RunPlace(folder=self.folder.absolute(), data=data, identity=self.identity)

    @property
    def owner(self) -> dict[str, Any]:
        """What scores follow from, but for the pairs.

        The recipe is part of the run's identity, and with it the type of the weights, the attention
        and what is compiled; the digest of the code holds every constant.
        """
        return {
            "run": self.identity,
            "versions": versions() | {"tokenizers": version("tokenizers")},
            "code": code_digest(),
            "sizes": [scorer.CHUNK_PAIRS, batches.BATCH_PAIRS, PIECE_BATCHES, RANKED_PAIRS],
            "pass_tokens": [batches.PASS_TOKENS, batches.PASS_TOKENS_GPU],
            "gpu": torch.cuda.is_available(),
        }

    @cached_property
    def scorer(self) -> Ranker:
        """What scores pairs with the run's system."""
        return Ranker(self.recommender)

    @cached_property
    def directory(self) -> Directory:
        """Users and items by name."""
        return Directory(self.knowledge)


def load_run(folder: Path | str, data: Path | str | None = None, *, system: bool = True) -> Run:
    """Open a trained run, a folder or the archive of a packed one, with its best weights.

    `data` says where the run's dataset is now; by default it is looked for where it lay, seen from
    the run folder. A packed run needs none but for measuring. Without `system` the language model
    is not loaded, and only other processes can score.

    Raises
    ------
    ArtifactError
        The folder is no run, its training has not reached a first validation, or a file of it or
        its dataset is missing, damaged or another one.
    """
    folder = Path(folder)
    with unpacked(folder) as place:
        parts = open_run(place, None if data is None else Path(data), system=system)
        joined = read_ranking(place, parts.weights_digest)
    return Run(folder, parts, parts.identity, joined)

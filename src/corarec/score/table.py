"""A table of pairs in, the same table with scores out, chunk by chunk and resumable."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit

from corarec.errors import ConfigError, DataError
from corarec.files import atomic_file, real_place, sha256
from corarec.ownership import check_inputs_survive
from corarec.score.formats import (
    check_format,
    check_writable,
    first_row,
    is_text,
    readable,
    scan,
    write,
)
from corarec.score.people import Directory
from corarec.score.scorer import Scorer
from corarec.types import FloatArray, Pairs
from corarec.workers.parts import PAIRS, Parts

CHUNK_ROWS = 10_000
ADDED = ("score", "probability")


def score_frame(
    scorer: Scorer,
    directory: Directory,
    frame: pl.DataFrame,
    *,
    first_row: int = 0,
    origin: str = "The pairs",
    progress: Callable[[int], None] | None = None,
) -> pl.DataFrame:
    """Return `frame` with the columns `score` (logit) and `probability` added.

    Parameters
    ----------
    frame
        Columns `user` and `item`: raw ids of the source, as text or numbers. Users and items that
        the dataset does not have are cold; an unknown item has no title, which is an error.
    first_row, origin
        Number of the frame's first row and name of its file, for errors.

    Raises
    ------
    DataError
        A column is missing or would be overwritten, a value is null, or an item is unknown.
    """
    pairs = known_pairs(directory, frame, first_row, origin)
    return with_scores(frame, scorer.score(pairs, progress=progress))


def known_pairs(
    directory: Directory, frame: pl.DataFrame, first_row: int = 0, origin: str = "The pairs"
) -> Pairs:
    """Return the rows of a frame as pairs that see all that is known of each user.

    Raises
    ------
    DataError
        As `score_frame`.
    """
    users, items = _raw_ids(frame, first_row, origin)
    knowledge = directory.knowledge
    item_ids = knowledge.catalogue.vocabulary.numbers(items.to_list())
    if not item_ids.all():
        row = int((item_ids == 0).argmax())
        raise _unknown_item(items[row], first_row + row, origin)
    return directory.pairs(knowledge.users.numbers(users.to_list()), item_ids)


def with_scores(frame: pl.DataFrame, scores: FloatArray) -> pl.DataFrame:
    """Return a frame with its logits [N] and their probabilities."""
    return frame.with_columns(score=pl.Series(scores), probability=pl.Series(expit(scores)))


def check_output(
    source: Path, output: Path, *, overwrite: bool = False, inputs: Iterable[Path] = ()
) -> Path:
    """See that scores can be written to `output` without a loss, and return its real place.

    Parameters
    ----------
    source, inputs
        What is read, and so may never be written: the pairs, and files of the dataset.
    overwrite
        Whether a file that stands there may be replaced.

    Raises
    ------
    ConfigError
        The output is an input, a folder, a file (and `overwrite` is false), or of no known format.
    """
    check_format(output)
    place = real_place(output)
    check_inputs_survive(place, [source, *inputs])
    if place.exists() and not place.is_file():
        raise ConfigError(f"{output} is no plain file, so no table can be written there. Name one.")
    if place.exists() and not overwrite:
        raise ConfigError(
            f"{output} already exists. Choose another --output, or give --overwrite to replace it."
        )
    return place


@dataclass(frozen=True)
class PairTable:
    """A table of pairs that can be entered in the middle."""

    path: Path
    """A Parquet file."""
    rows: int
    first_row: int
    """The number that messages give to the first row."""
    origin: Path
    """The file that messages name."""

    def frame(self, first: int, count: int) -> pl.DataFrame:
        """Return some rows of the table."""
        with readable(self.path):
            return pl.scan_parquet(self.path, glob=False).slice(first, count).collect()

    def pairs(self, directory: Directory, first: int, count: int) -> Pairs:
        """Return some rows as pairs that see all that is known of each user.

        Raises
        ------
        DataError
            As `score_frame`.
        """
        frame = self.frame(first, count)
        return known_pairs(directory, frame, self.first_row + first, str(self.origin))


DoPieces = Callable[[PairTable, int, Parts, Collection[int]], Iterator[tuple[int, FloatArray]]]
"""Scores a table in chunks of so many rows, all but the finished ones; yields the number of each
that is done and its logits."""


def score_file(
    do: DoPieces,
    directory: Directory,
    source: Path,
    output: Path,
    *,
    owner: Mapping[str, Any],
    overwrite: bool = False,
    inputs: Iterable[Path] = (),
) -> int:
    """Score a file of pairs (Parquet, CSV or TSV, by suffix) into another; return the rows.

    The whole file is checked before anything is scored. What is done stays in `OUTPUT.parts` until
    all is, so a stopped command goes on where it was. The output appears only when it is whole.
    Memory holds one chunk.

    `owner` names whatever scores, so that the parts of two runs are never mixed; `overwrite` and
    `inputs` are as in `check_output`.

    Raises
    ------
    ConfigError
        The output would overwrite something, or a suffix tells no format.
    InUseError
        Another process writes this output.
    ArtifactError
        In the place of the parts beside the output lies something that is not ours.
    DataError
        The file cannot be read, or as in `score_frame`; the first such row is named.
    """
    output = check_output(source, output, overwrite=overwrite, inputs=inputs)
    table = scan(source)
    _check_pairs(table, directory, source)
    check_writable(table.collect_schema(), source, output)
    owner = {**owner, "source": sha256(source), "chunk_rows": CHUNK_ROWS}
    with Parts.held(output, f"The output {output}", owner) as parts:
        # Read once: a text file cannot be entered in the middle.
        path = parts.folder / PAIRS if is_text(source) else source.absolute()
        if is_text(source) and not path.exists():
            with readable(source), atomic_file(path) as temporary:
                write(table, temporary)
        rows = int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item())
        pairs = PairTable(path, rows, first_row(source), source)
        firsts = range(0, max(rows, 1), CHUNK_ROWS)  # one of no rows, so that all have columns
        chunks = [parts.folder / f"{first:012d}.parquet" for first in firsts]
        finished = {number for number, chunk in enumerate(chunks) if chunk.exists()}
        for number, scores in do(pairs, CHUNK_ROWS, parts, finished):
            scored = with_scores(pairs.frame(firsts[number], CHUNK_ROWS), scores)
            with atomic_file(chunks[number]) as temporary:
                scored.write_parquet(temporary)
        if not rows:
            with atomic_file(chunks[0]) as temporary:
                with_scores(pairs.frame(0, 0), np.empty(0)).write_parquet(temporary)
        with atomic_file(output) as temporary:
            write(pl.scan_parquet(chunks, glob=False), temporary)
    return rows


def _check_schema(schema: pl.Schema, origin: str) -> None:
    if missing := {"user", "item"} - set(schema):
        raise DataError(
            f"{origin}: there is no column {sorted(missing)[0]!r}, only {list(schema)}. Wanted "
            "are `user` and `item` with the ids of the source."
        )
    for name in ("user", "item"):
        if not _may_be_ids(schema[name]):
            raise DataError(
                f"{origin}: the column {name!r} holds {schema[name]}, which are no ids. Cast it to "
                "integers or text, as the source of the dataset has them."
            )
    if taken := [name for name in ADDED if name in schema]:
        raise DataError(
            f"{origin}: there is a column {taken[0]!r} already, which the scores would overwrite. "
            "Rename or drop it."
        )


def _may_be_ids(kind: pl.DataType) -> bool:
    """Tell whether values as text are ids; as text `1.0`, `true` and a date are those of nobody."""
    whole = kind.is_integer() or (isinstance(kind, pl.Decimal) and kind.scale == 0)
    text = isinstance(kind, pl.String | pl.Categorical | pl.Enum | pl.Binary)
    return whole or text or isinstance(kind, pl.Null)  # no value at all is told by its row


def _raw_ids(frame: pl.DataFrame, first_row: int, origin: str) -> tuple[pl.Series, pl.Series]:
    if not isinstance(frame, pl.DataFrame):
        raise DataError(
            f"{origin}: a polars DataFrame is wanted, {type(frame).__name__} came. Make one, such "
            "as pl.DataFrame({'user': [...], 'item': [...]}), or score a file with score_file."
        )
    _check_schema(frame.schema, origin)
    users, items = (frame[name].cast(pl.String) for name in ("user", "item"))
    for name, column in (("user", users), ("item", items)):
        if column.null_count():
            row = first_row + int(column.is_null().to_numpy().argmax())
            raise DataError(f"{origin}: row {row} has no {name}. Fill it in or drop the row.")
    return users, items


def _check_pairs(table: pl.LazyFrame, directory: Directory, source: Path) -> None:
    """Find the first row that cannot be scored, before hours were spent on those before it."""
    _check_schema(table.collect_schema(), str(source))
    ids = pl.col("user", "item").cast(pl.String)
    vocabulary = directory.knowledge.catalogue.vocabulary
    known = pl.Series(vocabulary.raw_ids, dtype=pl.String).implode()
    wrong = pl.col("user").is_null() | pl.col("item").is_in(known).not_().fill_null(value=True)
    with readable(source):
        rows = table.select(ids).with_row_index("row", offset=first_row(source))
        first = rows.filter(wrong).head(1).collect(engine="streaming")
    if not first.is_empty():
        row = int(first["row"][0])
        _, items = _raw_ids(first.drop("row"), row, str(source))
        raise _unknown_item(items[0], row, str(source))


def _unknown_item(item: str, row: int, origin: str) -> DataError:
    return DataError(
        f"{origin}: row {row} names the item {item!r}, which is not in the dataset, so it has no "
        "title to read. Add it to the catalogue with `corarec prepare`."
    )

"""A table of pairs in, the same table with scores out, chunk by chunk and resumable."""

import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
from scipy.special import expit

from corarec.errors import ArtifactError, DataError
from corarec.files import atomic_file, read_json, sha256, write_json
from corarec.recommenders import Recommender
from corarec.score.people import Directory

CHUNK_ROWS = 10_000


def score_frame(
    recommender: Recommender,
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
        A column is missing, a value is null, or an item is unknown.
    """
    if missing := {"user", "item"} - set(frame.columns):
        raise DataError(
            f"{origin}: there is no column {sorted(missing)[0]!r}, only {frame.columns}. Wanted "
            "are `user` and `item` with the ids of the source."
        )
    for name in ("user", "item"):
        if frame.schema[name].is_float():
            raise DataError(
                f"{origin}: the column {name!r} holds {frame.schema[name]} numbers, which are no "
                "ids. Cast it to integers or text."
            )
    users, items = (frame[name].cast(pl.String) for name in ("user", "item"))
    for name, column in (("user", users), ("item", items)):
        if column.null_count():
            row = first_row + int(column.is_null().to_numpy().argmax())
            raise DataError(f"{origin}: row {row} has no {name}. Fill it in or drop the row.")
    dataset = directory.dataset
    item_ids = dataset.item_vocabulary.numbers(items.to_list())
    if not item_ids.all():
        row = int((item_ids == 0).argmax())
        raise DataError(
            f"{origin}: row {first_row + row} names the item {items[row]!r}, which is not in the "
            "dataset, so it has no title to read. Add it to the catalogue with `corarec prepare`."
        )
    pairs = directory.pairs(dataset.user_vocabulary.numbers(users.to_list()), item_ids)
    scores = recommender.score(pairs, progress=progress)
    return frame.with_columns(score=pl.Series(scores), probability=pl.Series(expit(scores)))


def score_file(
    recommender: Recommender,
    directory: Directory,
    source: Path,
    output: Path,
    *,
    system: str,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Score a Parquet file of pairs; return the number of rows.

    Finished chunks stay in `OUTPUT.parts` until all are done, so a stopped command goes on where
    it was. The output appears only when it is whole.

    `system` names the weights that score, so that chunks of two runs are never mixed.

    Raises
    ------
    ArtifactError
        The parts beside the output were made from another file or by another run.
    DataError
        The file cannot be read as Parquet, or as in `score_frame`.
    """
    rows = count_rows(source)
    parts = _claim_parts(output, source, system)
    chunks = []
    for first in range(0, rows, CHUNK_ROWS):
        chunks.append(parts / f"{first:012d}.parquet")
        count = min(CHUNK_ROWS, rows - first)
        if chunks[-1].exists():
            if progress is not None:
                progress(count)
            continue
        frame = pl.scan_parquet(source).slice(first, count).collect()
        scored = score_frame(
            recommender, directory, frame, first_row=first, origin=str(source), progress=progress
        )
        with atomic_file(chunks[-1]) as temporary:
            scored.write_parquet(temporary)
    with atomic_file(output) as temporary:
        if chunks:
            pl.scan_parquet(chunks).sink_parquet(temporary)
        else:
            empty = score_frame(recommender, directory, pl.read_parquet(source))
            empty.write_parquet(temporary)
    shutil.rmtree(parts)
    return rows


def count_rows(source: Path) -> int:
    """Return the number of rows of a Parquet file.

    Raises
    ------
    DataError
        It cannot be read as Parquet.
    """
    try:
        return int(pl.scan_parquet(source).select(pl.len()).collect().item())
    except (pl.exceptions.ComputeError, OSError) as error:
        raise DataError(
            f"{source} cannot be read as Parquet ({error}). Give a Parquet file with the columns "
            "`user` and `item`."
        ) from error


def _claim_parts(output: Path, source: Path, system: str) -> Path:
    parts = output.with_name(f"{output.name}.parts")
    owner = {"source": sha256(source), "system": system, "chunk_rows": CHUNK_ROWS}
    marker = parts / "source.json"
    if marker.exists() and read_json(marker) != owner:
        raise ArtifactError(
            f"{parts} holds chunks that were scored from another file than {source} or by another "
            "run. Delete it, or choose another --output."
        )
    write_json(marker, owner)
    return parts

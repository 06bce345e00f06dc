"""A table of pairs in, the same table with scores out, chunk by chunk and resumable."""

from collections.abc import Callable, Iterable
from pathlib import Path

import polars as pl
from scipy.special import expit

from corarec.errors import ArtifactError, ConfigError, DataError
from corarec.files import atomic_file, read_json, real_place, sha256, write_json
from corarec.locks import lock_beside, locked
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
from corarec.staging import NEW, sweep, temporary_folder

CHUNK_ROWS = 10_000
ADDED = ("score", "probability")
OWNER = "source.json"


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
    users, items = _raw_ids(frame, first_row, origin)
    knowledge = directory.knowledge
    item_ids = knowledge.catalogue.vocabulary.numbers(items.to_list())
    if not item_ids.all():
        row = int((item_ids == 0).argmax())
        raise _unknown_item(items[row], first_row + row, origin)
    pairs = directory.pairs(knowledge.users.numbers(users.to_list()), item_ids)
    scores = scorer.score(pairs, progress=progress)
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


def score_file(
    scorer: Scorer,
    directory: Directory,
    source: Path,
    output: Path,
    *,
    system: str,
    overwrite: bool = False,
    inputs: Iterable[Path] = (),
    progress: Callable[[int], None] | None = None,
) -> int:
    """Score a file of pairs (Parquet, CSV or TSV, by suffix) into another; return the rows.

    The whole file is checked before anything is scored. Finished chunks stay in `OUTPUT.parts`
    until all are done, so a stopped command goes on where it was. The output appears only when it
    is whole. Memory holds one chunk.

    `system` names the weights that score, so that chunks of two runs are never mixed; `overwrite`
    and `inputs` are as in `check_output`.

    Raises
    ------
    ConfigError
        The output would overwrite something, or a suffix tells no format.
    InUseError
        Another process writes this output.
    ArtifactError
        The parts beside the output were made from another file or by another run, or are not ours.
    DataError
        The file cannot be read, or as in `score_frame`; the first such row is named.
    """
    output = check_output(source, output, overwrite=overwrite, inputs=inputs)
    table = scan(source)
    _check_pairs(table, directory, source)
    check_writable(table.collect_schema(), source, output)
    with locked(lock_beside(output), f"The output {output}"):
        parts = _claim_parts(output, source, system)
        if is_text(source):
            # Read once: a text file cannot be entered in the middle.
            if not (pairs := parts / "pairs.parquet").exists():
                with readable(source), atomic_file(pairs) as temporary:
                    write(table, temporary)
            table = pl.scan_parquet(pairs, glob=False)
        rows = int(table.select(pl.len()).collect().item())
        chunks = []
        for first in range(0, max(rows, 1), CHUNK_ROWS):  # one of no rows, so that all have columns
            chunks.append(parts / f"{first:012d}.parquet")
            count = min(CHUNK_ROWS, rows - first)
            if chunks[-1].exists():
                if progress is not None:
                    progress(count)
                continue
            scored = score_frame(
                scorer,
                directory,
                table.slice(first, count).collect(),
                first_row=first + first_row(source),
                origin=str(source),
                progress=progress,
            )
            with atomic_file(chunks[-1]) as temporary:
                scored.write_parquet(temporary)
        with atomic_file(output) as temporary:
            write(pl.scan_parquet(chunks, glob=False), temporary)
        _remove_parts(parts)
    return rows


def _check_schema(schema: pl.Schema, origin: str) -> None:
    if missing := {"user", "item"} - set(schema):
        raise DataError(
            f"{origin}: there is no column {sorted(missing)[0]!r}, only {list(schema)}. Wanted "
            "are `user` and `item` with the ids of the source."
        )
    for name in ("user", "item"):
        if schema[name].is_float():
            raise DataError(
                f"{origin}: the column {name!r} holds {schema[name]} numbers, which are no "
                "ids. Cast it to integers or text."
            )
    if taken := [name for name in ADDED if name in schema]:
        raise DataError(
            f"{origin}: there is a column {taken[0]!r} already, which the scores would overwrite. "
            "Rename or drop it."
        )


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


def _claim_parts(output: Path, source: Path, system: str) -> Path:
    parts = output.with_name(f"{output.name}.parts")
    sweep(parts)
    owner = {"source": sha256(source), "system": system, "chunk_rows": CHUNK_ROWS}
    marker = parts / OWNER
    if parts.exists() and (foreign := _foreign(parts)):
        raise ArtifactError(
            f"{parts} is where unfinished chunks go, but {foreign} there is not from corarec. Move "
            "it away, or choose another --output."
        )
    if marker.exists() and read_json(marker) != owner:
        raise ArtifactError(
            f"{parts} holds chunks that were scored from another file than {source} or by another "
            "run. Delete it, or choose another --output."
        )
    write_json(marker, owner)
    return parts


def _foreign(parts: Path) -> str | None:
    """Return the name of something in the folder of the parts that was not written here."""
    if not parts.is_dir():
        return parts.name
    there = sorted(path.name for path in parts.iterdir())
    if OWNER not in there:
        return there[0] if there else None
    ours = (OWNER, "pairs.parquet")
    strangers = (
        name
        for name in there
        if name not in ours and not (name[:12].isdecimal() and name[12:] == ".parquet")
    )
    return next(strangers, None)


def _remove_parts(parts: Path) -> None:
    if _foreign(parts) is None:
        with temporary_folder(parts.parent) as temporary:
            parts.rename(temporary / NEW / parts.name)

"""What the store holds as a table, for training."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import polars as pl

from corarec.errors import ConfigError
from corarec.files import atomic_file
from corarec.serve.store import Store

COLUMNS = {
    "user": pl.String,
    "item": pl.String,
    "kind": pl.String,
    "time": pl.Int64,
    "stars": pl.Float64,
    "arrived": pl.Int64,
    "title": pl.String,
    "request_id": pl.String,
    "shown_rank": pl.Int64,
    "shown_probability": pl.Float64,
}
"""`time` in UTC seconds, `arrived` the order of arrival; `title` of added items; the last three
where the event names the answer in which the item was shown."""
AT_ONCE = 100_000
ITEMS_SUFFIX = ".items.parquet"


def export_events(store: Store, output: Path, *, overwrite: bool = False) -> tuple[int, Path]:
    """Write all events to a Parquet file and the added items to another beside it.

    Returns
    -------
    How many events there are, and the file of items.

    Raises
    ------
    ConfigError
        A file stands there, or the output is no `.parquet`.
    StorageError
        The system refuses to write.
    """
    if output.suffix != ".parquet":
        raise ConfigError(f"The output {output} is not named .parquet, which is what is written.")
    beside = output.with_name(output.stem + ITEMS_SUFFIX)
    for path in (output, beside):
        if path.exists() and not overwrite:
            raise ConfigError(f"{path} exists. Choose another --output, or add --overwrite.")
    added = {
        item: state for item, state in store.changes("", -1).items.items() if not state.removed
    }
    items = pl.DataFrame(
        [
            {"item": item, "title": state.title, "time": state.time}
            | {
                name: "|".join(value) if isinstance(value, list) else value
                for name, value in state.metadata.items()
                if name not in ("item", "title", "time")
            }
            for item, state in added.items()
        ],
        schema=None if added else {"item": pl.String, "title": pl.String, "time": pl.Int64},
        infer_schema_length=None,
        strict=False,
    )
    titles = {item: state.title for item, state in added.items()}
    frames = [_frame(part, titles) for part in _parts(store)]
    events = pl.concat(frames) if frames else pl.DataFrame(schema=COLUMNS)
    with atomic_file(beside) as temporary:
        items.write_parquet(temporary)
    with atomic_file(output) as temporary:
        events.write_parquet(temporary)
    return len(events), beside


def _parts(store: Store) -> Iterator[list[dict[str, object]]]:
    rows = store.export()
    while part := list(islice(rows, AT_ONCE)):
        yield part


def _frame(rows: list[dict[str, object]], titles: dict[str, str]) -> pl.DataFrame:
    frame = pl.DataFrame(
        rows, schema={name: kind for name, kind in COLUMNS.items() if name in rows[0]}
    )
    return frame.with_columns(
        stars=pl.lit(None, pl.Float64),
        title=pl.col("item").replace_strict(titles, default=None, return_dtype=pl.String),
    ).select(list(COLUMNS))

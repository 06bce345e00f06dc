"""The dataset folder: written whole, and checked when it is read."""

import time
from pathlib import Path

import polars as pl
from pydantic import ValidationError

from corarec.data.card import FORMAT_VERSION, DatasetCard
from corarec.errors import ArtifactError
from corarec.files import atomic_directory, read_json, recover, write_json

KIND = "dataset"
"""What the marker of a dataset folder says."""
SPLITS = ("train", "valid", "test")
EARLIER = "earlier"
"""The part of the rows from before train, which no protocol has."""
SplitType = pl.Enum((*SPLITS, EARLIER))

INTERACTIONS_SCHEMA = pl.Schema(
    {
        "user_id": pl.Int64(),
        "item_id": pl.Int64(),
        "rating": pl.Float32(),
        "timestamp": pl.Int64(),
        "label": pl.Int8(),
        "split": SplitType,
        "warm": pl.Boolean(),
    }
)
ITEMS_SCHEMA = pl.Schema(
    {
        "item_id": pl.Int64(),
        "raw_id": pl.String(),
        "title": pl.String(),
    }
)
USERS_SCHEMA = pl.Schema({"user_id": pl.Int64(), "raw_id": pl.String()})
TEXTS_SCHEMA = pl.Schema(
    {
        "row": pl.Int64(),
        "user_id": pl.Int64(),
        "item_id": pl.Int64(),
        "text": pl.String(),
    }
)

_CERTAIN_SECONDS = 3.0

Tables = tuple[
    DatasetCard,
    pl.DataFrame,
    pl.DataFrame,
    pl.DataFrame,
    pl.DataFrame | None,
    pl.DataFrame | None,
]
"""The card, interactions, items, users, texts, and the rows from before train."""


def save_folder(
    path: Path,
    card: DatasetCard,
    interactions: pl.DataFrame,
    items: pl.DataFrame,
    users: pl.DataFrame,
    texts: pl.DataFrame | None,
    earlier: pl.DataFrame | None = None,
) -> None:
    """Write the tables and the card to the folder `path`, which appears whole or not at all.

    Rows from before train stand after all others.

    Raises
    ------
    ConfigError
        Something else than a dataset, as corarec wrote it, stands at `path`.
    """
    with atomic_directory(Path(path), KIND) as folder:
        if earlier is not None:
            interactions = pl.concat([interactions, earlier], how="diagonal")
        interactions.write_parquet(folder / "interactions.parquet")
        items.write_parquet(folder / "items.parquet")
        users.write_parquet(folder / "users.parquet")
        if texts is not None:
            texts.write_parquet(folder / "texts.parquet")
        write_json(folder / "card.json", card.model_dump(mode="json"))


def load_folder(path: Path) -> Tables:
    """Read and check the folder `path`.

    Raises
    ------
    ArtifactError
        A file is missing, damaged, or does not fit the others; the message names it.
    """
    card = _read_card(recover(path) / "card.json")
    interactions = _read_table(path / "interactions.parquet", INTERACTIONS_SCHEMA)
    items = _read_table(path / "items.parquet", ITEMS_SCHEMA)
    users = _read_table(path / "users.parquet", USERS_SCHEMA)
    has_texts = (path / "texts.parquet").exists()
    texts = _read_table(path / "texts.parquet", TEXTS_SCHEMA) if has_texts else None
    _check_ids(path / "items.parquet", items["item_id"], card.num_items)
    _check_ids(path / "users.parquet", users["user_id"], card.num_users)
    _check_interactions(path / "interactions.parquet", interactions, card)
    protocol = card.counts_of(SPLITS)
    earlier = interactions[protocol:] if interactions.height > protocol else None
    interactions = interactions[:protocol]
    if texts is not None:
        _check_range(path / "texts.parquet", texts["row"], 0, interactions.height - 1)
    return card, interactions, items, users, texts, earlier


FilesState = tuple[tuple[str, int, int, int, int, int], ...]


def files_state(path: Path) -> FilesState | None:
    """Return what changes when a file of a dataset folder does; None while that is not certain.

    Name, device, inode, size and the times of the last change, of content and of anything: the
    latter can be set by nobody. Files changed within the last seconds are not certain, as clocks of
    file systems are coarse.
    """
    names = ("card.json", "interactions.parquet", "items.parquet", "users.parquet")
    try:
        stats = [(name, (path / name).stat()) for name in names]
    except OSError:
        return None
    if max(max(s.st_mtime, s.st_ctime) for _, s in stats) > time.time() - _CERTAIN_SECONDS:
        return None
    return tuple(
        (name, s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for name, s in stats
    )


def _damaged(path: Path, what: str) -> ArtifactError:
    return ArtifactError(f"{path}: {what}. Run `corarec prepare` again to make the folder anew.")


def _read_card(path: Path) -> DatasetCard:
    content = read_json(path)
    version = content.get("format_version") if isinstance(content, dict) else None
    if version != FORMAT_VERSION:
        raise _damaged(
            path, f"its format_version is {version}, this program reads {FORMAT_VERSION}"
        )
    try:
        return DatasetCard.model_validate(content)
    except ValidationError as error:
        raise _damaged(path, f"it is not the card of a dataset ({error})") from error


def _read_table(path: Path, schema: pl.Schema) -> pl.DataFrame:
    if not path.exists():
        raise _damaged(path, "the file is missing")
    try:
        table = pl.read_parquet(path, glob=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise _damaged(path, f"it is not a whole Parquet file ({error})") from error
    if missing := [name for name in schema if name not in table.columns]:
        raise _damaged(path, f"the columns {', '.join(missing)} are missing")
    try:
        return table.cast(schema)
    except pl.exceptions.PolarsError as error:
        raise _damaged(path, f"a column does not have the type it must have ({error})") from error


def _check_ids(path: Path, ids: pl.Series, count: int) -> None:
    expected = pl.Series(ids.name, range(1, count + 1), dtype=pl.Int64)
    if not ids.equals(expected):
        raise _damaged(path, f"{ids.name} must run from 1 to {count} (so says card.json)")


def _check_range(path: Path, values: pl.Series, smallest: int, largest: int) -> None:
    if values.null_count() or not values.is_between(smallest, largest).all():
        raise _damaged(path, f"{values.name} has values outside {smallest} to {largest}")


def _check_interactions(path: Path, table: pl.DataFrame, card: DatasetCard) -> None:
    rows = card.counts_of((*SPLITS, EARLIER))
    if table.height != rows:
        raise _damaged(path, f"it has {table.height} rows, card.json says {rows}")
    _check_range(path, table["user_id"], 1, card.num_users)
    _check_range(path, table["item_id"], 1, card.num_items)
    _check_range(path, table["label"], 0, 1)
    if table.select(pl.col("timestamp", "split", "warm").is_null().any()).row(0) != (False,) * 3:
        raise _damaged(path, "timestamp, split or warm has missing values")
    protocol = card.counts_of(SPLITS)
    is_earlier = (table["split"] == EARLIER).to_numpy()
    if is_earlier[:protocol].any() or not is_earlier[protocol:].all():
        raise _damaged(path, f"of {rows} rows not the last {rows - protocol} are {EARLIER} ones")
    for part in (table[:protocol], table[protocol:]):
        _check_order(path, part)


def _check_order(path: Path, table: pl.DataFrame) -> None:
    user, time = pl.col("user_id"), pl.col("timestamp")
    later = (user > user.shift(1)) | ((user == user.shift(1)) & (time >= time.shift(1)))
    if not table.select(later.all()).item():
        raise _damaged(path, "the rows are not in the order of user_id, then timestamp")

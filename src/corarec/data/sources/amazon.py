"""Amazon reviews of McAuley's group: the layouts of 2014, 2018 and 2023."""

from pathlib import PurePosixPath

import polars as pl

from corarec.data.columns import require_columns
from corarec.data.inputs import InputFiles
from corarec.data.json_lines import first_object, scan_json_lines
from corarec.data.raw import RawData, SourceFacts
from corarec.data.sources.base import FileSource
from corarec.errors import DataError

LICENCE = (
    "Amazon review data, for research; cite McAuley et al. 2015 (2014 files), Ni et al. 2019 (2018 "
    "files) or Hou et al. 2024 (2023 files). Reviews belong to their authors and to Amazon."
)
SUFFIXES = (".json", ".jsonl", ".json.gz", ".jsonl.gz")
UNFORMATTED = "getTime"
"""a title with this is a scrap of a web page's script (in the 2018 metadata)"""


class Amazon(FileSource):
    """A folder with a file of reviews and one of metadata, plain or gz.

    The layout (2014, 2018, 2023) is told by the fields. Lines may be JSON or, in the metadata of
    2014, Python literals. Where an item has several metadata entries the last one holds.
    """

    reviews: str | None = None
    """name of the reviews file; None: the only one whose name does not start with `meta`"""
    metadata: str | None = None
    """name of the metadata file; None: the only one whose name starts with `meta`"""
    texts: bool = True
    """keep the review texts"""
    item_noun_singular: str = "item"
    """what an item is, for prompts: `book` for Books"""
    item_noun_plural: str = "items"
    """what several of them are, for prompts"""

    def read(self, files: InputFiles) -> RawData:
        """Read the metadata; reviews are read when they are selected from."""
        reviews = _choose(files, self.reviews, is_metadata=False)
        metadata = _choose(files, self.metadata, is_metadata=True)
        items, notes = _items(files, metadata)
        return RawData(
            facts=SourceFacts(
                files.path.stem, LICENCE, self.item_noun_singular, self.item_noun_plural, notes
            ),
            interactions=_interactions(files, reviews, texts=self.texts),
            items=items,
            interactions_file=files.where(reviews),
            items_file=files.where(metadata),
        )


def _choose(files: InputFiles, name: str | None, *, is_metadata: bool) -> str:
    if name is not None:
        return files.require(name)
    what = "metadata" if is_metadata else "reviews"
    names = [
        member
        for member in files.names
        if member.endswith(SUFFIXES)
        and PurePosixPath(member).name.lower().startswith("meta") == is_metadata
    ]
    if len(names) != 1:
        raise DataError(
            f"{files.path} has {len(names)} files that can be the {what}"
            f"{': ' * bool(names)}{', '.join(names)}; expected one .json or .jsonl file, plain or "
            f".gz, {'whose name starts with `meta`' if is_metadata else 'beside the metadata'}. "
            f"Name it with the option {what}."
        )
    return names[0]


def _interactions(files: InputFiles, member: str, *, texts: bool) -> pl.LazyFrame:
    fields = list(first_object(files, member))
    if "parent_asin" in fields:
        names = {"user_id": "user", "parent_asin": "item", "rating": "rating"}
        time, text, per_second = "timestamp", "text", 1000
    else:
        names = {"reviewerID": "user", "asin": "item", "overall": "rating"}
        time, text, per_second = "unixReviewTime", "reviewText", 1
    require_columns(fields, [*names, time], files.where(member))
    types: dict[str, pl.DataType] = dict.fromkeys(names, pl.String())
    types |= {next(k for k, v in names.items() if v == "rating"): pl.Float32(), time: pl.Int64()}
    if texts:
        types[text] = pl.String()
    return scan_json_lines(files, member, types).select(
        "row",
        *(pl.col(source).alias(target) for source, target in names.items()),
        (pl.col(time) // per_second).alias("timestamp"),
        *([pl.col(text).alias("text")] if texts else []),
    )


def _items(files: InputFiles, member: str) -> tuple[pl.DataFrame, tuple[str, ...]]:
    fields = list(first_object(files, member))
    is_2023 = "parent_asin" in fields
    names = {"parent_asin": "item", "title": "title", "store": "brand", "main_category": "category"}
    if not is_2023:
        names = {"asin": "item", "title": "title", "brand": "brand", "main_cat": "category"}
    require_columns(fields, ["parent_asin" if is_2023 else "asin"], files.where(member))
    types: dict[str, pl.DataType] = dict.fromkeys(names, pl.String())
    entries = (
        scan_json_lines(files, member, types)
        .select(pl.col(source).fill_null("").alias(target) for source, target in names.items())
        .collect()
    )
    formatted = entries.filter(~pl.col("title").str.contains(UNFORMATTED, literal=True))
    items = formatted.unique("item", keep="last", maintain_order=True)
    notes = (
        f"{len(entries) - len(formatted)} metadata entries with an unformatted title left out",
        f"{len(formatted) - len(items)} metadata entries replaced by a later one of the same item",
    )
    return items, notes

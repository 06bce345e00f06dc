"""RecBole's atomic files: tab-separated `.inter`, `.item` and `.user` with typed headers."""

from pathlib import PurePosixPath

import polars as pl

from corarec.data.columns import parse_numbers, require_columns, require_roles
from corarec.data.guesses import UNITS, guess_rating, guess_unit
from corarec.data.inputs import InputFiles
from corarec.data.raw import RawData, SourceFacts
from corarec.data.reading import collect
from corarec.data.sources.base import FileSource, joined
from corarec.data.storage import SPLITS, SplitType
from corarec.errors import DataError

LICENCE = "Atomic files of RecBole; the terms of the data they were made from hold."


class RecBole(FileSource):
    """A folder or zip with `NAME.inter` and `NAME.item`, or `NAME.{train,valid,test}.inter`."""

    user_field: str = "user_id"
    """field of the users"""
    item_field: str = "item_id"
    """field of the items"""
    rating_field: str = "rating"
    """field of the ratings; without it and labels, one that looks like ratings is taken"""
    positives_only: bool = False
    """every interaction is a liked one, whatever fields there are"""
    label_field: str = "label"
    """field of 0/1 labels; used instead of ratings where it is there"""
    time_field: str = "timestamp"
    """field of the times; seconds or finer, told by the size of the numbers"""
    title_field: str | None = None
    """field of the titles; None: the first one with `title` or `name` in it"""
    item_noun_singular: str = "item"
    """what an item is, for prompts"""
    item_noun_plural: str = "items"
    """what several of them are, for prompts"""

    def read(self, files: InputFiles) -> RawData:
        """Read the interactions of one file or of three splits, and the items."""
        roles = ("user", "item", "rating", "label", "time")
        require_roles({f"{role}_field": getattr(self, f"{role}_field") for role in roles})
        by_split = _interaction_files(files)
        where = joined(list(by_split.values()), files.path)
        item_file = _one(files, ".item")
        users = [name for name in files.names if name.endswith(".user")]
        notes: list[str] = []
        interactions = pl.concat(
            self._interactions(files, member, split, notes) for split, member in by_split.items()
        )
        return RawData(
            facts=SourceFacts(
                PurePosixPath(item_file).stem,
                LICENCE,
                self.item_noun_singular,
                self.item_noun_plural,
                tuple(notes),
            ),
            interactions=interactions,
            items=self._items(files, item_file),
            interactions_file=where,
            items_file=files.where(item_file),
            users=self._users(files, users[0]) if users else None,
            users_file=files.where(users[0] if users else item_file),
        )

    def _interactions(
        self, files: InputFiles, member: str, split: str, notes: list[str]
    ) -> pl.LazyFrame:
        table, file = _table(files, member), files.where(member)
        names = table.collect_schema().names()
        needed = [self.user_field, self.item_field, self.time_field]
        require_columns(
            names, needed, file, "Other names can be given as options (time_field=...)."
        )
        rating_name, label_name = self.rating_field, self.label_field
        if self.positives_only:
            rating_name = label_name = ""
        elif rating_name not in names and label_name not in names:
            guess, note = guess_rating(names, file, "rating_field")
            rating_name = guess or rating_name
            notes += [note] if note and note not in notes else []
        types: dict[str, pl.DataType] = {
            self.time_field: pl.Int64(),
            **({rating_name: pl.Float32()} if rating_name in names else {}),
            **({label_name: pl.Int8()} if label_name in names else {}),
        }
        rating = pl.col(rating_name) if rating_name in types else pl.lit(None)
        numbers = parse_numbers(table, types, file)
        unit, note = guess_unit(numbers, self.time_field, file)
        notes += [note] if note and note not in notes else []
        return numbers.select(
            "row",
            pl.col(self.user_field).alias("user"),
            pl.col(self.item_field).alias("item"),
            rating.cast(pl.Float32).alias("rating"),
            (pl.col(self.time_field) // UNITS[unit]).alias("timestamp"),
            *([pl.col(label_name).alias("label")] if label_name in types else []),
            *([pl.lit(split, SplitType).alias("split")] if split else []),
        )

    def _users(self, files: InputFiles, member: str) -> pl.DataFrame:
        table, file = _table(files, member).drop("row"), files.where(member)
        require_columns(table.collect_schema().names(), [self.user_field], file)
        return collect(table.rename({self.user_field: "user"}), file)

    def _items(self, files: InputFiles, member: str) -> pl.DataFrame:
        table = collect(_table(files, member).drop("row"), files.where(member))
        likely = [name for name in table.columns if "title" in name or "name" in name]
        title = self.title_field or next(iter(likely), "title")
        how = "Name the field of the titles with the option title_field."
        require_columns(table.columns, [self.item_field, title], files.where(member), how)
        return table.rename({self.item_field: "item", title: "title"}).with_columns(
            pl.col("title").fill_null("")
        )


def _interaction_files(files: InputFiles) -> dict[str, str]:
    """Return the file of each split by its name, or the one file under the empty name."""
    ends = {split: f".{split}.inter" for split in SPLITS}
    by_split = {
        split: name for split, end in ends.items() for name in files.names if name.endswith(end)
    }
    if len(by_split) == len(SPLITS):
        return by_split
    return {"": _one(files, ".inter")}


def _one(files: InputFiles, end: str) -> str:
    names = [name for name in files.names if name.endswith(end)]
    if len(names) != 1:
        raise DataError(
            f"{files.path} has {len(names)} files *{end}; expected one. RecBole's atomic files are "
            "NAME.inter (or NAME.train.inter, NAME.valid.inter, NAME.test.inter) and NAME.item."
        )
    return names[0]


def _table(files: InputFiles, member: str) -> pl.LazyFrame:
    table = files.table(member, separator="\t", quote=False)
    names = [name for name in table.collect_schema().names() if name != "row"]
    if untyped := [name for name in names if ":" not in name]:
        raise DataError(
            f"{files.where(member)}, row 1: the field {untyped[0]!r} has no type; a header of an "
            "atomic file reads `user_id:token<tab>item_id:token<tab>timestamp:float`."
        )
    return table.rename({name: name.rsplit(":", 1)[0] for name in names})

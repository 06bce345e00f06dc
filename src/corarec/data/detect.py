"""What a file or a folder most likely is, and how to cut it, for whoever does not want to say."""

import hashlib
from pathlib import Path, PurePosixPath
from typing import Any

from corarec.data.inputs import InputFiles
from corarec.data.prepare import DATA_SOURCES
from corarec.errors import DataError
from corarec.text import printable

_TABLES = (".csv", ".tsv", ".txt", ".parquet")
_REVIEWS = (".json", ".jsonl")


def detect_source(path: Path) -> str:
    """Return the key of `DATA_SOURCES` that reads what is at `path`, by the names of the files.

    Raises
    ------
    DataError
        Nothing is there, or no source has such files.
    """
    names = [PurePosixPath(name).name.lower() for name in InputFiles(path).names]
    plain = [name.removesuffix(".gz") for name in names]
    if {"ratings.dat", "u.data"} & {*names} or {"ratings.csv", "movies.csv"} <= {*plain}:
        return "movielens"
    if any(name.endswith("_ood2.pkl") for name in names):
        return "collm"
    if any(name.startswith("yelp_academic_dataset") for name in names):
        return "yelp"
    if any(name.endswith(".inter") for name in names):
        return "recbole"
    if any(name.startswith("meta") and name.endswith(_REVIEWS) for name in plain):
        return "amazon"
    if any(name.endswith(_TABLES) for name in plain):
        return "table"
    there = printable(", ".join(sorted(names)[:12]), 400) or "nothing"
    raise DataError(
        f"{printable(path)} looks like none of the known sources ({', '.join(DATA_SOURCES)}); it "
        f"has {there}. Name the source with --source."
    )


def default_split(source: str, path: Path | None, options: dict[str, Any]) -> str:
    """Return the key of `SPLIT_RULES` that fits a source: published splits where there are any.

    Parameters
    ----------
    source
        Key of `DATA_SOURCES`.
    path, options
        The input and the options of the source.

    Raises
    ------
    ConfigError, DataError
        As when the source is read.
    """
    if source in ("collm", "synthetic"):
        return "published"
    if source == "movielens" and path is not None:
        names = InputFiles(path)
        # The 1M release alone has both.
        return "collm-ml1m" if names.find("ratings.dat") and names.find("users.dat") else "temporal"
    if source in ("recbole", "table"):
        raw, _ = DATA_SOURCES[source].parse(options, f"The source {source!r}").load(path)
        if "split" in raw.interactions.collect_schema().names():
            return "published"
    return "temporal"


def input_digest(path: Path, *said: Any) -> str:
    """Return eight letters that tell an input, and what was `said` about it, from all others.

    Names, sizes and times of the files count, not what is in them.
    """
    path = path.resolve()
    files = [path] if path.is_file() else [path / name for name in InputFiles(path).names]
    facts = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr((facts, said)).encode("utf-8", "surrogateescape")).hexdigest()[:8]

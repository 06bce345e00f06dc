"""MovieLens: 1M and 10M (`::`), 100K (`u.data`), latest, 20M, 25M and 32M (CSV)."""

import polars as pl

from corarec.data.columns import parse_numbers, require_columns
from corarec.data.inputs import InputFiles
from corarec.data.raw import RawData, SourceFacts
from corarec.data.reading import collect
from corarec.data.sources.base import FileSource
from corarec.errors import DataError

LICENCE = (
    "GroupLens MovieLens terms: research use, no redistribution, no commercial use without "
    "permission; cite Harper and Konstan 2015, doi:10.1145/2827872. See the README of the data."
)
RATING_TYPES: dict[str, pl.DataType] = {"rating": pl.Float32(), "timestamp": pl.Int64()}


class MovieLens(FileSource):
    """A MovieLens folder or zip, as GroupLens publishes it; the layout is found by its files."""

    def read(self, files: InputFiles) -> RawData:
        """Read ratings, movies and, where there are any, users."""
        if files.find("ratings.dat"):
            return _read_dat(files)
        if files.find("u.data"):
            return _read_100k(files)
        if files.find("ratings.csv"):
            return _read_csv(files)
        raise DataError(
            f"{files.path} holds none of ratings.dat, u.data and ratings.csv, so it is not a "
            "MovieLens folder or zip; give the one that GroupLens publishes, unpacked or not."
        )


def _raw_data(
    files: InputFiles,
    ratings: tuple[str, pl.LazyFrame],
    items: tuple[str, pl.DataFrame],
    users: tuple[str, pl.DataFrame] | None,
) -> RawData:
    ratings_file = files.where(ratings[0])
    typed = parse_numbers(ratings[1], RATING_TYPES, ratings_file)
    return RawData(
        facts=SourceFacts(files.path.stem, LICENCE, "movie", "movies"),
        interactions=typed.select("row", "user", "item", "rating", "timestamp"),
        items=items[1],
        interactions_file=ratings_file,
        items_file=files.where(items[0]),
        users=None if users is None else users[1],
        users_file=files.where(items[0] if users is None else users[0]),
    )


def _split_lines(
    files: InputFiles, member: str, separator: str, columns: list[str]
) -> pl.DataFrame:
    """Cut each line at `separator`; the last column takes the rest of the line."""
    lines = [line for line in files.text(member).splitlines() if line]
    if not lines:
        raise DataError(f"{files.where(member)} is empty. Get the file again.")
    rows = [line.split(separator, len(columns) - 1) for line in lines]
    for number, row in enumerate(rows, start=1):
        if len(row) < len(columns):
            raise DataError(
                f"{files.where(member)}, row {number}: {len(row)} fields, expected "
                f"{len(columns)} ({', '.join(columns)}) with {separator!r} between them."
            )
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String()), orient="row")


def _read_dat(files: InputFiles) -> RawData:
    ratings = files.require("ratings.dat")
    movies = files.require("movies.dat")
    users = files.find("users.dat")
    # polars takes one-character separators: `::` leaves an empty column between every two.
    fields = ["user", "_1", "item", "_2", "rating", "_3", "timestamp"]
    user_fields = ["user", "gender", "age", "occupation", "zip_code"]
    return _raw_data(
        files,
        (ratings, files.table(ratings, separator=":", columns=fields, quote=False)),
        (movies, _split_lines(files, movies, "::", ["item", "title", "genres"])),
        None if users is None else (users, _split_lines(files, users, "::", user_fields)),
    )


def _read_100k(files: InputFiles) -> RawData:
    ratings, movies = files.require("u.data"), files.require("u.item")
    genre_file, users = files.require("u.genre"), files.find("u.user")
    genres = [line.split("|")[0] for line in files.text(genre_file).splitlines() if line]
    if not genres:
        raise DataError(f"{files.where(genre_file)} is empty. Get the file again.")
    info = ["item", "title", "release_date", "video_release_date", "imdb_url"]
    items = _split_lines(files, movies, "|", [*info, *genres])
    named = pl.concat_list(
        pl.when(pl.col(genre) == "1").then(pl.lit(genre)) for genre in genres
    ).list.drop_nulls()
    user_fields = ["user", "age", "gender", "occupation", "zip_code"]
    fields = ["user", "item", "rating", "timestamp"]
    return _raw_data(
        files,
        (ratings, files.table(ratings, separator="\t", columns=fields, quote=False)),
        (movies, items.select("item", "title", named.list.join("|").alias("genres"))),
        None if users is None else (users, _split_lines(files, users, "|", user_fields)),
    )


def _read_csv(files: InputFiles) -> RawData:
    ratings, movies = files.require("ratings.csv"), files.require("movies.csv")
    rating_table = files.table(ratings, separator=",")
    movie_table = collect(files.table(movies, separator=",").drop("row"), files.where(movies))
    names = {"userId": "user", "movieId": "item"}
    require_columns(
        rating_table.collect_schema().names(),
        ["userId", "movieId", "rating", "timestamp"],
        files.where(ratings),
    )
    require_columns(movie_table.columns, ["movieId", "title", "genres"], files.where(movies))
    return _raw_data(
        files,
        (ratings, rating_table.rename(names)),
        (movies, movie_table.rename({"movieId": "item"})),
        None,
    )

"""The Yelp open dataset: JSON lines for reviews and businesses."""

import polars as pl

from corarec.data.columns import require_columns
from corarec.data.inputs import InputFiles
from corarec.data.json_lines import first_object, scan_json_lines
from corarec.data.raw import RawData, SourceFacts
from corarec.data.sources.base import FileSource

LICENCE = (
    "Yelp Dataset License: academic and non-commercial use, no redistribution. "
    "See the agreement that comes with the data."
)
REVIEWS = "yelp_academic_dataset_review.json"
BUSINESSES = "yelp_academic_dataset_business.json"
REVIEW_FIELDS: dict[str, pl.DataType] = {
    "user_id": pl.String(),
    "business_id": pl.String(),
    "stars": pl.Float32(),
    "date": pl.String(),
}
BUSINESS_FIELDS: dict[str, pl.DataType] = {
    "business_id": pl.String(),
    "name": pl.String(),
    "city": pl.String(),
    "state": pl.String(),
    "categories": pl.String(),
}


class Yelp(FileSource):
    """A folder with Yelp's review and business files; a business's name is its title."""

    texts: bool = True
    """keep the review texts"""

    def read(self, files: InputFiles) -> RawData:
        """Read the businesses; reviews are read when they are selected from."""
        reviews, businesses = files.require(REVIEWS), files.require(BUSINESSES)
        found = list(first_object(files, reviews))
        require_columns(found, list(REVIEW_FIELDS), files.where(reviews))
        found = list(first_object(files, businesses))
        require_columns(found, ["business_id", "name"], files.where(businesses))
        text: dict[str, pl.DataType] = {"text": pl.String()} if self.texts else {}
        return RawData(
            facts=SourceFacts("yelp", LICENCE, "business", "businesses"),
            interactions=scan_json_lines(files, reviews, REVIEW_FIELDS | text).select(
                "row",
                pl.col("user_id").alias("user"),
                pl.col("business_id").alias("item"),
                pl.col("stars").alias("rating"),
                _seconds(pl.col("date")).alias("timestamp"),
                *text,
            ),
            items=scan_json_lines(files, businesses, BUSINESS_FIELDS)
            .select(
                pl.col("business_id").alias("item"),
                pl.col("name").fill_null("").alias("title"),
                "city",
                "state",
                "categories",
            )
            .collect(),
            interactions_file=files.where(reviews),
            items_file=files.where(businesses),
        )


def _seconds(date: pl.Expr) -> pl.Expr:
    """Read `2018-07-07 22:09:11`, or the bare day of older releases."""
    moment = date.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False)
    day = date.str.to_datetime("%Y-%m-%d", strict=False)
    return pl.coalesce(moment, day).dt.epoch("s")

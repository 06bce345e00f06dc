"""What can be set of the `statistics` CF model."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from corarec.types import Config

Family = Literal[
    "user", "item", "residuals", "content", "neighbours", "history", "running", "early"
]
DEFAULT_FAMILIES: tuple[Family, ...] = (
    "user",
    "item",
    "residuals",
    "content",
    "neighbours",
    "history",
    "running",
)


class StatisticsConfig(Config):
    """Counts of users, items and both together; for knowledge: snapshot or streaming."""

    families: tuple[Family, ...] = DEFAULT_FAMILIES
    """Which statistics there are. `user` and `item`: rates and counts. `residuals`: what is left of
    them after the other side's rate. `content`: the user's taste in genres and years, from the
    table of items. `neighbours`: items liked or disliked by the same users. `history`: how many
    items the user liked and which kind. `running` (of streaming only): the user's last rows.
    `early`: star ratings from before train, where the dataset keeps them."""
    head: Literal["lr", "trees", "blend"] = "blend"
    """The model's own score: a logistic regression on the statistics, boosted trees, or the mean of
    both logits."""
    inverse_penalties: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        default=(0.001, 0.003, 0.01, 0.03), min_length=1
    )
    """The C of the logistic regression; the one with the largest validation AUC is kept."""
    rounds: int = Field(default=400, gt=0, le=10_000)
    """Boosting rounds at most; the number with the largest validation AUC is kept."""
    bags: int = Field(default=3, gt=0, le=100)
    """Ensembles of trees, each on another 0.7 of the rows, whose logits are averaged."""
    leaf_rows: int = Field(default=200, gt=0)
    """Training rows in a leaf at least."""
    folds: int = Field(default=0, ge=0, le=100)
    """With 2 or more: a training row's own score is of a head that was fitted without the rows of
    its user, who are parted into so many folds, for a second stage that learns what the score
    misses. The fit then takes so many times longer. 0: all rows have the one head's score."""
    genres: str | None = None
    """The column of the items' table with the genres, a list or text parted by `|` or `,`; None:
    the first of genres, genre, categories, category and main_category that is there."""
    neighbour_items: int = Field(default=4000, gt=0, le=20_000)
    """Items, those with most rows, that have neighbours; memory grows with its square."""
    neighbour_rows: int = Field(default=200, gt=0)
    """Of a user's rows the last so many are asked for neighbours."""
    early_one_sided: float = Field(default=0.95, gt=0, le=1)
    """Users of whose earlier rows a larger share is liked, or is not, are left out of them: whoever
    kept one kind of rows only tells nothing of taste."""
    early_factors: int = Field(default=24, gt=0, le=256)
    """Factors of the earlier star ratings."""

    @field_validator("folds")
    @classmethod
    def _not_one(cls, folds: int) -> int:
        if folds == 1:
            raise ValueError("1 came: one fold leaves no rows to fit on; give 0, or 2 and more")
        return folds

    @field_validator("families")
    @classmethod
    def _some_once(cls, families: tuple[Family, ...]) -> tuple[Family, ...]:
        if not families or len(set(families)) < len(families):
            raise ValueError(f"{list(families)} came, wanted is each family at most once, and one")
        return families

"""What an evaluation of rankings says: plain records that become JSON and come back from it."""

from pydantic import Field

from corarec.evaluate.bootstrap import BootstrapConfig
from corarec.evaluate.result import Difference, Estimate, Result


class RankingEvaluation(Result):
    """Means over users with at least one relevant item."""

    name: str
    users: int = Field(ge=0)
    users_left_out: int = Field(ge=0)
    """Users without a relevant item that they had not seen."""
    relevant_seen: int = Field(ge=0)
    """Relevant items left out because the user had seen them."""
    metrics: dict[str, Estimate]
    """By name: `recall@K`, `capped_recall@K`, `ndcg@K`, `hr@K`, `mrr`; empty without users."""
    bootstrap: BootstrapConfig


class RankingComparison(Result):
    """A paired test of two systems that ranked for the same users."""

    first: str
    second: str
    users: int = Field(ge=0)
    metrics: dict[str, Difference]
    """First minus second, by name of the metric; empty without users."""
    bootstrap: BootstrapConfig


class RankingTable(Result):
    """What one table shows: systems that ranked one catalogue for the same users."""

    dataset: str
    split: str
    items: int = Field(ge=1)
    """Size of the catalogue."""
    candidates: int = Field(ge=1)
    """How many items, the first of the CF model, were put in a new order."""
    systems: list[RankingEvaluation]
    references: list[RankingEvaluation]
    comparisons: list[RankingComparison]

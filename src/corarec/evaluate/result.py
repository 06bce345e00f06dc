"""What an evaluation says: plain records that become JSON and come back from it."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from corarec.evaluate.bootstrap import BootstrapConfig


class Result(BaseModel):
    """Base of every record of results: immutable; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Estimate(Result):
    """A metric with its bootstrap interval."""

    value: float
    """The metric on the rows as they are; with several seeds, the mean over seeds."""
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end of the interval."""
    spread: float | None = None
    """Sample standard deviation over seeds; None for one seed."""


class _OfPart(Result):
    """What both records of a part have in common."""

    @model_validator(mode="before")
    @classmethod
    def _upgraded(cls, values: Any) -> Any:
        """Read what was written when AUC and UAUC were the only metrics."""
        if not isinstance(values, dict) or "metrics" in values or "auc" not in values:
            return values
        names = [name for name in ("auc", "uauc") if name in values]
        rest = {key: value for key, value in values.items() if key not in names}
        return rest | {"metrics": {name: values[name] for name in names}}


class PartEvaluation(_OfPart):
    """The metrics of one part of the rows."""

    rows: int = Field(ge=0)
    positives: int = Field(ge=0)
    users: int = Field(ge=0)
    users_in_uauc: int = Field(ge=0)
    """Users with both labels; the others have no AUC and are left out of UAUC."""
    metrics: dict[str, Estimate | None]
    """By name; None where a metric has no value, such as AUC in a part with one label only."""


class Evaluation(Result):
    """One system (one seed, or the mean over several) on one set of rows."""

    name: str
    seeds: int = Field(ge=1)
    """How many score tables, one per seed, were averaged."""
    parts: dict[str, PartEvaluation]
    """By name of the part; `all` is always there and comes first."""
    bootstrap: BootstrapConfig

    @property
    def whole(self) -> PartEvaluation:
        """The metrics over all rows."""
        return self.parts["all"]


class Difference(Result):
    """First system minus second, on the same rows, users resampled jointly."""

    value: float
    low: float
    high: float
    p_value: float = Field(ge=0, le=1)
    """Two-sided: twice the smaller share of draws on one side of zero, at least 2 / (draws + 1)."""
    draws: int | None = None
    """Draws in which both had a value; None in files that do not say: all of them."""


class PartComparison(_OfPart):
    """The differences on one part of the rows."""

    rows: int = Field(ge=0)
    users: int = Field(ge=0)
    users_in_uauc: int = Field(ge=0)
    metrics: dict[str, Difference | None]
    """By name; None where one of the two has no value."""


class Comparison(Result):
    """A paired test of two systems on the same rows."""

    first: str
    second: str
    first_seeds: int = Field(ge=1)
    second_seeds: int = Field(ge=1)
    parts: dict[str, PartComparison]
    bootstrap: BootstrapConfig


class ResultTable(Result):
    """What one table shows: systems, the trivial references beside them, paired tests."""

    dataset: str
    split: str
    systems: list[Evaluation]
    references: list[Evaluation] = []
    comparisons: list[Comparison] = []


class RankingEvaluation(Result):
    """How one system ranked a catalogue: means over users with at least one relevant item."""

    name: str
    users: int = Field(ge=0)
    users_left_out: int = Field(ge=0)
    """Users without a relevant item that they had not seen."""
    relevant_seen: int = Field(ge=0)
    """Relevant items left out because the user had seen them."""
    metrics: dict[str, Estimate]
    """By name, such as `recall@10`; empty without users."""
    coverage: dict[str, float] = {}
    """Share of the catalogue among the first items of some user, such as `coverage@10`."""
    bootstrap: BootstrapConfig


class RankingComparison(Result):
    """A paired test of two systems that ranked for the same users."""

    first: str
    second: str
    users: int = Field(ge=0)
    metrics: dict[str, Difference]
    """First minus second, by name of the metric; empty without users."""
    bootstrap: BootstrapConfig


class RankingPart(Result):
    """Systems that ranked for some of the users."""

    systems: list[RankingEvaluation]
    references: list[RankingEvaluation]
    comparisons: list[RankingComparison]


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
    parts: dict[str, RankingPart] = {}
    """The same for some of the users: those with a history and those without one."""

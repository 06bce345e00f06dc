"""What a report shows, as plain data: it knows no run folder and no recommender."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field

from corarec.evaluate.result import RankingTable, Result, ResultTable

Share = Annotated[float, Field(ge=0, le=1)]
Point = tuple[float, float]


class Fact(Result):
    """One line of what was run: `Fact(label="Backbone", value="8 M parameters")`."""

    label: str
    value: str


class TrainingCurve(Result):
    """How one run went."""

    name: str
    train_loss: list[Point] = Field(default_factory=list)
    """(step, loss)"""
    valid_auc: list[Point] = Field(default_factory=list)
    """(step, AUC on the validation sample)"""

    @classmethod
    def from_records(cls, name: str, records: Iterable[Mapping[str, Any]]) -> "TrainingCurve":
        """Pick the curves out of metric records such as `{"step": 10, "train_loss": 0.6}`.

        The steps of phases are counted on from one to the next.
        """
        curves: dict[str, list[Point]] = {"train_loss": [], "valid_auc": []}
        before: Mapping[str, Any] = {}
        earlier = 0
        for record in records:
            if before and record.get("phase") != before.get("phase"):
                earlier += before["step"]
            before = record
            for key, points in curves.items():
                if key in record:
                    points.append((earlier + record["step"], record[key]))
        return cls(name=name, **curves)


class ReliabilityBin(Result):
    """Rows of nearby predicted probability."""

    predicted: Share
    """Mean predicted probability."""
    observed: Share
    """Share of rows that were enjoyed."""
    low: Share
    """Lower end of the 95 % Wilson interval of the observed share, rows taken as independent."""
    high: Share
    rows: int = Field(ge=1)


class ScoreView(Result):
    """The shape of one system's scores; made by `corarec.report.views.view_scores`."""

    name: str
    auc: Share
    uauc: Share | None
    roc: list[tuple[Share, Share]]
    """(false positive rate, true positive rate)"""
    reliability: list[ReliabilityBin] = Field(default_factory=list)
    """Empty where scores are not logits."""
    calibration_error: Share | None = None
    """Mean distance of predicted from observed over the bins, weighted by rows."""
    user_auc_counts: list[int] = Field(default_factory=list)
    """Users by AUC, in bins of equal width from 0 to 1."""


class Recommendation(Result):
    """One item for one user."""

    title: str
    probability: Share


class RecommendationList(Result):
    """The best items for one user, best first."""

    user: str
    """How the user is called, e.g. `User 17`."""
    liked: list[str] = Field(default_factory=list)
    """Titles the user liked before, oldest first."""
    items: list[Recommendation]


class Effect(Result):
    """What leaving one thing out does to an answer."""

    left_out: str
    effect: float
    """The logit with everything less the logit without it."""
    probability: Share
    """Without it."""


class ExplainedPrediction(Result):
    """One prediction and why it is so."""

    heading: str
    """Such as `User 17, enjoyed`."""
    title: str
    probability: Share
    right: bool
    """Whether it is one of the best predictions; else one of the worst."""
    effects: list[Effect]
    """Largest first."""


class ReportData(Result):
    """Everything on the page. A section without data is left out."""

    title: str
    subtitle: str = ""
    facts: list[Fact] = Field(default_factory=list)
    """What was run, in a few lines."""
    config: dict[str, Any] = Field(default_factory=dict)
    """The resolved config, shown folded."""
    results: ResultTable
    ranking: RankingTable | None = None
    """How the whole catalogue was ranked, where that was measured."""
    training: list[TrainingCurve] = Field(default_factory=list)
    scores: list[ScoreView] = Field(default_factory=list)
    recommendations: list[RecommendationList] = Field(default_factory=list)
    explained: list[ExplainedPrediction] = Field(default_factory=list)

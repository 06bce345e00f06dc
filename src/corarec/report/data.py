"""What a report shows, as plain data: it knows no run folder and no recommender."""

import math
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
    """How one run went. Steps are counted on from one phase to the next."""

    name: str
    train_loss: list[Point] = Field(default_factory=list)
    """(step, loss)"""
    valid: dict[str, list[Point]] = Field(default_factory=dict)
    """By name of the metric, such as `auc`: (step, its value on the validation sample)"""
    last_phase: float = 0
    """The step after which the last phase begins, whose best weights are kept."""

    @classmethod
    def from_records(cls, name: str, records: Iterable[Mapping[str, Any]]) -> "TrainingCurve":
        """Pick the curves out of metric records such as `{"step": 10, "train_loss": 0.6}`.

        Numbers that are not finite are left out.
        """
        loss: list[Point] = []
        valid: dict[str, list[Point]] = {}
        before: Mapping[str, Any] = {}
        earlier = 0
        for record in records:
            if before and record.get("phase") != before.get("phase"):
                earlier += before["step"]
            before = record
            for key, value in record.items():
                if not isinstance(value, int | float) or not math.isfinite(value):
                    continue
                point = (float(earlier + record["step"]), float(value))
                if key == "train_loss":
                    loss.append(point)
                elif key.startswith("valid_"):
                    valid.setdefault(key.removeprefix("valid_"), []).append(point)
        return cls(name=name, train_loss=loss, valid=valid, last_phase=earlier)


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


class Distribution(Result):
    """How the scores of the rows of each label spread, in bins of equal width."""

    edges: list[float]
    """Of the bins, one more than there are bins."""
    enjoyed: list[int]
    """Rows with label 1."""
    not_enjoyed: list[int]
    probability: bool
    """Whether the scores are shown as probabilities; else as they are."""


class ScoreView(Result):
    """The shape of one system's scores; made by `corarec.report.views.view_scores`."""

    name: str
    auc: Share | None
    """None where all rows have one label."""
    uauc: Share | None
    roc: list[tuple[Share, Share]] = Field(default_factory=list)
    """(false positive rate, true positive rate); empty where all rows have one label."""
    reliability: list[ReliabilityBin] = Field(default_factory=list)
    """Empty where scores are not logits."""
    calibration_error: Share | None = None
    """ECE: the mean distance of predicted from observed over the bins, weighted by rows."""
    user_auc_counts: list[int] = Field(default_factory=list)
    """Users by AUC, in bins of equal width from 0 to 1."""
    distribution: Distribution


class UserDifferences(Result):
    """By how much the AUC within a user is another with one system than with another."""

    first: str
    second: str
    curve: list[Point] = Field(default_factory=list)
    """(share of the users, first minus second), largest difference first; empty without users."""
    better: int = Field(default=0, ge=0)
    """Users whose AUC is larger with the first."""
    equal: int = Field(default=0, ge=0)
    worse: int = Field(default=0, ge=0)
    left_out: int = Field(default=0, ge=0)
    """Users with one label only, who have no AUC."""
    mean: float | None = None
    """The difference in UAUC."""


class CostPoint(Result):
    """What a system took to train and how good it became."""

    name: str
    minutes: float = Field(gt=0)
    """Wall clock, the mean over the seeds whose time was recorded."""
    value: float
    low: float
    high: float
    seeds: int = Field(ge=1)


class WeightNorm(Result):
    """How large the increments of one adapted weight are."""

    block: int | None
    """None where the weight is in no numbered block."""
    weight: str
    """Name in its block, such as `self_attn.q_proj`."""
    increment: float = Field(ge=0)
    """Mean Frobenius norm over a sample of pairs."""
    frozen: float | None
    """Frobenius norm of the frozen weight; None where it is not stored as plain numbers."""


class Weights(Result):
    """Where the generated weights act."""

    norms: list[WeightNorm]
    pairs: int = Field(ge=1)
    """Size of the sample."""


class ShownToken(Result):
    """One token of a prompt."""

    text: str
    """What of the prompt it stands for; empty for the later ones of a letter of several tokens."""
    slot: str = ""
    """Name of the slot that it fills; empty for the words of the template."""
    special: bool = False
    """Whether it is no text: a start token, a soft token."""


class ExamplePrompt(Result):
    """One prompt as the language model reads it."""

    heading: str
    tokens: list[ShownToken]


class Prediction(Result):
    """One of the predictions that were most right or most wrong."""

    user: str
    title: str
    label: int
    probability: Share
    right: bool


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


class TextTable(Result):
    """A table of text, beside those of the results."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    note: str = ""


class SuiteViews(Result):
    """What the plots of a suite need of the scores and logs of its runs."""

    scores: list[ScoreView] = Field(default_factory=list)
    """Of the first seed of each row."""
    differences: list[UserDifferences] = Field(default_factory=list)
    """Of each comparison of rows; means over seeds."""
    training: list[TrainingCurve] = Field(default_factory=list)
    """Of each run, by name of its row."""


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
    user_differences: list[UserDifferences] = Field(default_factory=list)
    costs: list[CostPoint] | None = None
    """None where there is no question of them: on the page of one run."""
    weights: Weights | None = None
    """None for systems that generate no weights."""
    prompts: list[ExamplePrompt] = Field(default_factory=list)
    predictions: list[Prediction] = Field(default_factory=list)
    """The most right ones, then the most wrong ones."""
    tables: list[TextTable] = Field(default_factory=list)
    """Such as what the runs of a suite took."""
    of_suite: bool = False
    """Whether it is about many systems, none of them the first; it then opens with the best."""
    recommendations: list[RecommendationList] = Field(default_factory=list)
    explained: list[ExplainedPrediction] = Field(default_factory=list)

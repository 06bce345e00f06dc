"""The page about one run."""

from pathlib import Path

import polars as pl

from corarec.benchmark.extremes import ExplainedRow, explained_extremes
from corarec.benchmark.results import read_ranking, read_results, read_scores
from corarec.benchmark.test_log import count_test_evaluations
from corarec.data import Split
from corarec.errors import ConfigError
from corarec.report.data import (
    Effect,
    ExplainedPrediction,
    Fact,
    Recommendation,
    RecommendationList,
    ReportData,
    TrainingCurve,
)
from corarec.report.page import write_report
from corarec.report.views import view_scores
from corarec.runs import Run
from corarec.score.explain import part_name
from corarec.train.metrics import read_metrics

REPORT = "report.html"
SHOWN_USERS = 3
SHOWN_ITEMS = 5
SHOWN_LIKES = 5
EXPLAINED = 3
"""So many of the best predictions, and of the worst."""
SHOWN_EFFECTS = 6


def report_run(run: Run, split: Split) -> Path:
    """Write `report.html` into the folder of a run that was evaluated on `split`.

    Raises
    ------
    ArtifactError
        The run was not evaluated on this split.
    ConfigError
        The page is a link to something else.
    """
    results = read_results(run.folder, split)
    names = [evaluation.name for evaluation in results.systems]
    users = run.directory.most_active(SHOWN_USERS)
    page = run.folder / REPORT
    if page.is_symlink():
        raise ConfigError(
            f"{page} is a link, and what it leads to may be yours. Remove the link to get a page."
        )
    write_report(
        page,
        ReportData(
            title=f"{run.config.system.name} on {run.dataset.card.name}",
            subtitle=f"The {split} split, scored by the run in {run.folder.name}",
            facts=_facts(run),
            config=run.config.model_dump(mode="json"),
            results=results,
            ranking=read_ranking(run.folder, split),
            training=[TrainingCurve.from_records(names[0], read_metrics(run.folder))],
            scores=[view_scores(read_scores(run.folder, split, name), name) for name in names],
            recommendations=[_recommendations(run, user) for user in users],
            explained=[_explained(row) for row in explained_extremes(run, split, EXPLAINED)],
        ),
    )
    return page


def _facts(run: Run) -> list[Fact]:
    card, recommender = run.dataset.card, run.recommender
    parameters = sum(p.numel() for p in recommender.parameters())
    trained = recommender.trainable_parameters()
    model = run.config.system.backbone.model
    splits = ", ".join(f"{split} {counts.rows:,}" for split, counts in card.counts.items())
    facts = {
        "Data": f"{card.name}, split {card.split}",
        "Size": f"{card.num_users:,} users, {card.num_items:,} items; rows: {splits}",
        "Labels": card.labels,
        "Language model": f"{model}, {parameters - trained:,} parameters, frozen",
        "Trained": f"{trained:,} parameters",
    }
    if run.cf is not None:
        facts["CF vectors"] = f"{run.cf.name}, {run.cf.vector_size} numbers each"
    facts["Looks at the test split"] = f"{count_test_evaluations(run.folder)}"
    return [Fact(label=label, value=value) for label, value in facts.items()]


def _recommendations(run: Run, user: str) -> RecommendationList:
    liked = run.dataset.timeline.liked(run.directory.user(user))
    best = run.recommend(user, k=SHOWN_ITEMS)
    return RecommendationList(
        user=f"User {user}",
        liked=[run.dataset.titles[item] for item in liked[-SHOWN_LIKES:]],
        items=[
            Recommendation(title=title, probability=probability)
            for title, probability in best.select("title", "probability").iter_rows()
        ],
    )


def _explained(row: ExplainedRow) -> ExplainedPrediction:
    found = row.explanation
    return ExplainedPrediction(
        heading=f"User {row.user}, {'enjoyed' if row.label else 'not enjoyed'}",
        title=found.title,
        probability=found.probability,
        right=row.right,
        effects=[
            Effect(
                left_out=part_name(effect["without"], effect["title"]),
                effect=effect["effect_logit"],
                probability=effect["probability"],
            )
            # The frozen model's logit is of another scale: it would stand first, and say little.
            for effect in found.effects.filter(pl.col("without") != "adapter")
            .head(SHOWN_EFFECTS)
            .iter_rows(named=True)
        ],
    )

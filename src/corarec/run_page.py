"""The page about one run."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from scipy.special import expit

from corarec.adapter.targets import block_number
from corarec.benchmark.extremes import ExplainedRow, explained_extremes, extreme_rows
from corarec.benchmark.results import read_ranking, read_results, read_scores
from corarec.benchmark.test_log import count_test_evaluations
from corarec.data import Split
from corarec.evaluate import ResultTable
from corarec.report.data import (
    Effect,
    ExamplePrompt,
    ExplainedPrediction,
    Fact,
    Prediction,
    Recommendation,
    RecommendationList,
    ReportData,
    ShownToken,
    TrainingCurve,
    UserDifferences,
    WeightNorm,
    Weights,
)
from corarec.report.page import check_place, write_report
from corarec.report.tables import metric_of
from corarec.report.views import user_differences, view_scores
from corarec.runs import Run
from corarec.score.explain import part_name
from corarec.train.metrics import read_metrics
from corarec.types import IntArray, ScoreTable

SHOWN_USERS = 3
SHOWN_ITEMS = 5
SHOWN_LIKES = 5
EXPLAINED = 3
"""So many of the best predictions, and of the worst."""
SHOWN_EFFECTS = 6
PREDICTIONS = 10
"""So many of the best predictions are listed, and of the worst."""
MEASURED_PAIRS = 200
"""So many pairs, drawn by a fixed seed, have the size of their weights measured."""


def report_run(run: Run, split: Split) -> Path:
    """Write `report.html` and its plots into the folder of a run that was evaluated on `split`.

    Raises
    ------
    ArtifactError
        The run was not evaluated on this split.
    ConfigError
        The page is a link to something else, or something else stands where its plots go.
    """
    results = read_results(run.folder, split)
    names = [evaluation.name for evaluation in results.systems]
    users = run.directory.most_active(SHOWN_USERS)
    check_place(run.folder)
    scores = {name: read_scores(run.folder, split, name) for name in names}
    table = scores[names[0]]
    chosen = extreme_rows(table.labels, table.scores, PREDICTIONS)
    return write_report(
        run.folder,
        ReportData(
            title=f"{run.config.system.name} on {run.dataset.card.name}",
            subtitle=f"The {split} split, scored by the run in {run.folder.name}",
            facts=_facts(run),
            config=run.config.model_dump(mode="json"),
            results=results,
            ranking=read_ranking(run.folder, split),
            training=[TrainingCurve.from_records(names[0], read_metrics(run.folder))],
            scores=[view_scores(found, name) for name, found in scores.items()],
            user_differences=_user_differences(run, split, results, table),
            weights=_weights(run, split),
            prompts=_prompts(run, split, table, chosen),
            predictions=_predictions(run, table, chosen),
            recommendations=[_recommendations(run, user) for user in users],
            explained=[_explained(row) for row in explained_extremes(run, split, EXPLAINED)],
        ),
    )


def _user_differences(
    run: Run, split: Split, results: ResultTable, table: ScoreTable
) -> list[UserDifferences]:
    """Compare with the CF model alone, and with the best of the trivial references."""
    own, *others = [one.name for one in results.systems]
    estimates = {one.name: metric_of(one, "all", "uauc") for one in results.references}
    known = {name: found.value for name, found in estimates.items() if found is not None}
    if known:
        others.append(max(known, key=lambda name: known[name]))
    return [
        user_differences([table], [read_scores(run.folder, split, other)], (own, other))
        for other in others
    ]


def _weights(run: Run, split: Split) -> Weights | None:
    pairs = run.dataset.pairs(split)
    rows = np.random.default_rng(0).permutation(len(pairs))[:MEASURED_PAIRS]
    norms = run.recommender.increment_norms(pairs.take(np.sort(rows))) if len(rows) else None
    if norms is None:
        return None
    return Weights(
        norms=[
            WeightNorm(
                block=block_number(norm.layer),
                weight=_in_block(norm.layer),
                increment=norm.increment,
                frozen=norm.frozen,
            )
            for norm in norms
        ],
        pairs=len(rows),
    )


def _in_block(layer: str) -> str:
    """Return what the name of a layer says behind the number of its block."""
    parts = layer.split(".")
    first = next((place for place, part in enumerate(parts, 1) if part.isdigit()), 0)
    return ".".join(parts[first:])


def _prompts(run: Run, split: Split, table: ScoreTable, chosen: IntArray) -> list[ExamplePrompt]:
    """Show the prompts of the most right and of the most wrong prediction."""
    if not len(chosen):
        return []
    rows = np.array([chosen[0], chosen[len(chosen) // 2]])
    prompts = run.recommender.tokens(run.dataset.pairs(split).take(rows))
    if prompts is None:
        return []
    said = ("nearest to what happened", "farthest from it")
    return [
        ExamplePrompt(
            heading=f"User {user}, the prediction {words}",
            tokens=[
                ShownToken(text=token.text, slot=token.slot, special=token.special)
                for token in tokens
            ],
        )
        for user, words, tokens in zip(
            run.knowledge.users.raw(table.user_ids[rows]),
            said,
            prompts,
            strict=True,
        )
    ]


def _predictions(run: Run, table: ScoreTable, chosen: IntArray) -> list[Prediction]:
    users: Sequence[str] = run.knowledge.users.raw(table.user_ids[chosen])
    return [
        Prediction(
            user=users[n],
            title=run.dataset.titles[int(table.item_ids[row])],
            label=int(table.labels[row]),
            probability=float(expit(table.scores[row])),
            right=2 * n < len(chosen),
        )
        for n, row in enumerate(chosen)
    ]


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

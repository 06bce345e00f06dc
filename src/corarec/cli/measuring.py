"""Commands that measure trained runs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from corarec.cli.options import (
    SPLIT_HELP,
    Draws,
    FormOption,
    Metrics,
    RayAddress,
    RunData,
    RunFolder,
    SplitOption,
    TableOrJson,
    Workers,
    bootstrap,
    chosen_metrics,
    hands,
)
from corarec.cli.output import print_json, print_result, say, scoring_progress
from corarec.errors import ConfigError


def evaluate(
    run: RunFolder,
    split: SplitOption = "valid",
    metric: Metrics = None,
    min_interactions: Annotated[
        int | None,
        typer.Option(
            min=1, help="Instead of warm and cold: user and item have so many rows in train."
        ),
    ] = None,
    draws: Draws = 1000,
    workers: Workers = 1,
    ray: RayAddress = None,
    form: FormOption = "table",
    data: RunData = None,
) -> None:
    """Score one split and print AUC and UAUC with intervals, beside the trivial references."""
    from corarec.benchmark.runs import evaluate_run
    from corarec.report.tables import markdown, terminal_tables
    from corarec.runs import load_run

    metrics = chosen_metrics(metric)
    who = hands(workers, ray)
    opened = load_run(run, data, system=who.here)
    total = len(opened.dataset.rows(split))
    with scoring_progress(total, f"scoring {split}", "drawing intervals") as advance:
        result = evaluate_run(
            opened,
            split,
            metrics=metrics,
            min_interactions=min_interactions,
            config=bootstrap(draws),
            hands=who,
            progress=advance,
        )
    print_result(form, result, terminal_tables(result), markdown(result))


def evaluate_ranking(
    run: RunFolder,
    split: Annotated[Literal["valid", "test"], typer.Option(help=SPLIT_HELP)] = "valid",
    candidates: Annotated[
        int, typer.Option(min=1, help="Picked by CF, put in order by the run.")
    ] = 100,
    cutoff: Annotated[
        list[int] | None, typer.Option(min=1, help="A K of Recall@K and the others; repeat.")
    ] = None,
    users: Annotated[
        int | None, typer.Option(min=1, help="Rank for so many users, drawn by a fixed seed.")
    ] = None,
    draws: Draws = 1000,
    workers: Workers = 1,
    ray: RayAddress = None,
    form: FormOption = "table",
    data: RunData = None,
) -> None:
    """Rank the whole catalogue for every user of one split, beside popularity and the CF model."""
    from corarec.benchmark.ranking import rank_run, ranked_users
    from corarec.evaluate import RankingConfig
    from corarec.report.ranking_tables import ranking_markdown, ranking_tables
    from corarec.runs import load_run

    cutoffs = sorted(set(cutoff or (10, 20)))
    config = RankingConfig.parse({"cutoffs": cutoffs}, "--cutoff")
    who = hands(workers, ray)
    opened = load_run(run, data, system=who.here)
    num_items = opened.dataset.num_items
    each = num_items if opened.scores_catalogues else min(candidates, num_items)
    orders = 1 if opened.joined is None else 2
    total = orders * each * len(ranked_users(opened.dataset, split, users))
    with scoring_progress(total, f"ranking for {split}") as advance:
        result = rank_run(
            opened,
            split,
            candidates=candidates,
            max_users=users,
            config=config,
            bootstrap=bootstrap(draws),
            hands=who,
            progress=advance,
        )
    print_result(form, result, ranking_tables(result), ranking_markdown(result))


def learn_ranking(
    run: RunFolder,
    candidates: Annotated[
        int, typer.Option(min=1, help="How many items the run puts in order.")
    ] = 100,
    users: Annotated[
        int, typer.Option(min=1, help="Learn from so many users, drawn by a fixed seed.")
    ] = 500,
    cutoff: Annotated[int, typer.Option(min=1, help="The K of the NDCG that chooses.")] = 10,
    form: TableOrJson = "table",
    data: RunData = None,
) -> None:
    """Learn on validation how to join a run with its CF model and popularity to recommend."""
    from corarec.benchmark.joining import learn_ranking as learn
    from corarec.benchmark.ranking import ranked_users
    from corarec.runs import load_run
    from corarec.runs.layout import RANKING
    from corarec.score.joined import PARTS

    opened = load_run(run, data)
    num_items = opened.dataset.num_items
    each = num_items if opened.scores_catalogues else min(candidates, num_items)
    total = each * len(ranked_users(opened.dataset, "valid", users))
    with scoring_progress(total, "scoring valid", "learning") as advance:
        joined = learn(
            opened, candidates=candidates, max_users=users, cutoff=cutoff, progress=advance
        )
    if form == "json":
        print_json(joined.model_dump(mode="json"))
        return
    for name, group in joined.groups.items():
        say(f"Users {name}: {group.chosen}", style="bold")
        say(f"  {group.users:,} users of validation, learned from {group.learned_from:,}")
        for step, weights in (("candidates by", group.first), ("order by", group.then)):
            some = ", ".join(f"{PARTS[part]} {w:.2f}" for part, w in weights.items() if w)
            say(f"  {step} {some or 'popularity'}")
        for order, value in group.validation.items():
            say(f"  NDCG@{joined.cutoff} {value:.4f}  {order}")
    say(f"Written to {run / RANKING}; recommend and evaluate-ranking use it.")


def compare(
    first: Annotated[list[Path], typer.Option(help="Runs of one system; repeat for its seeds.")],
    second: Annotated[list[Path], typer.Option(help="Runs of the other; repeat for its seeds.")],
    split: SplitOption = "valid",
    against: Annotated[
        str | None,
        typer.Option(help="Compare with this row of the second runs' results, e.g. 'mf alone'."),
    ] = None,
    metric: Metrics = None,
    draws: Draws = 1000,
    form: FormOption = "table",
) -> None:
    """Test two evaluated systems against each other, paired over users."""
    from corarec.benchmark.runs import compare_runs
    from corarec.evaluate import ResultTable
    from corarec.report.tables import markdown, terminal_tables

    metrics = chosen_metrics(metric)
    names = (first[0].resolve().name, against or second[0].resolve().name)
    evaluations, comparison = compare_runs(
        first,
        second,
        split,
        names=names,
        second_column=against,
        metrics=metrics,
        config=bootstrap(draws),
    )
    result = ResultTable(
        dataset="", split=split, systems=evaluations, references=[], comparisons=[comparison]
    )
    print_result(form, result, terminal_tables(result), markdown(result))


def report(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="A run that was evaluated, or the results of a benchmark."
        ),
    ],
    split: Annotated[
        Literal["train", "valid", "test"] | None,
        typer.Option(help="Of a run; a benchmark has its own. By default that is valid."),
    ] = None,
    form: TableOrJson = "table",
    data: RunData = None,
) -> None:
    """Write one HTML page about an evaluated run or a benchmark, and its plots as files."""
    from corarec.run_page import report_run
    from corarec.runs import load_run
    from corarec.suite_page import holds_suite, report_suite

    if holds_suite(run):
        if given := [name for name, value in (("--split", split), ("--data", data)) if value]:
            raise ConfigError(
                f"{given[0]} is for the report of a run, and {run} holds the results of a "
                f"benchmark, which have their own. Leave {given[0]} out."
            )
        page, told = report_suite(run), {"suite": str(run)}
    else:
        split = split or "valid"
        page, told = report_run(load_run(run, data), split), {"run": str(run), "split": split}
    if form == "json":
        print_json({**told, "page": str(page), "plots": str(page.with_suffix(""))})
    else:
        say(f"Written to {page}, its plots to {page.with_suffix('')}")

"""The command line: one command per verb of the user."""

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from corarec.errors import ConfigError, CorarecError

if TYPE_CHECKING:
    from rich.table import Table

    from corarec.evaluate import BootstrapConfig
    from corarec.evaluate.result import Result

app = typer.Typer(
    name="corarec",
    help="Collaborative filtering as generated weights for a frozen large language model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console()

# torch and transformers take seconds to import, so each command imports what it needs.

RunFolder = Annotated[Path, typer.Argument(help="A run folder.")]
Form = Literal["table", "markdown", "json"]
FormOption = Annotated[Form, typer.Option("--format")]
SPLIT_HELP = "Validation chooses, test reports; every scoring of test is logged."
SplitOption = Annotated[Literal["train", "valid", "test"], typer.Option(help=SPLIT_HELP)]
Options = Annotated[
    list[str] | None,
    typer.Option("--option", "-o", metavar="NAME=VALUE", help="Repeat for several."),
]


@app.command()
def prepare(
    source: Annotated[str, typer.Argument(help="movielens, amazon, yelp, recbole, table, ...")],
    output: Annotated[Path, typer.Option(help="Dataset folder to write.")],
    split: Annotated[str, typer.Option(help="collm-ml1m, temporal, leave-last-out, ...")],
    input: Annotated[Path | None, typer.Option(help="Folder, archive or file to read.")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Ratings of at least this are positives.")
    ] = None,
    negatives: Annotated[
        int, typer.Option(help="Sampled per positive, where data has positives only.")
    ] = 1,
    seed: Annotated[int, typer.Option(help="Of the sampled negatives.")] = 0,
    untitled: Annotated[
        str | None, typer.Option(help="What becomes of items without a title: error or drop.")
    ] = None,
    source_option: Options = None,
    split_option: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Repeat for several.")
    ] = None,
) -> None:
    """Turn the files of a source into a dataset folder."""
    from corarec.data import LabelConfig, PrepareConfig
    from corarec.data import prepare as run_prepare

    dataset = run_prepare(
        PrepareConfig(
            source=source,
            input=input,
            output=output,
            split=split,
            labels=LabelConfig.parse(
                {"threshold": threshold, "negatives": negatives, "seed": seed}, "The command"
            ),
            source_options=_named_values(source_option),
            split_options=_named_values(split_option)
            | ({} if untitled is None else {"untitled": untitled}),
        )
    )
    for part, counts in dataset.card.counts.items():
        console.print(
            f"{part}: {counts.rows:,} rows, {counts.users:,} users, {counts.items:,} items, "
            f"{counts.positives / counts.rows:.1%} positive, {counts.warm:,} warm"
        )
    for note in dataset.card.notes:
        console.print(note)
    console.print(f"Licence: {dataset.card.licence}\nWritten to {output}")


@app.command()
def fit_cf(
    data: Annotated[Path, typer.Argument(help="Dataset folder.")],
    model: Annotated[
        str, typer.Option(help="mf, mf-b, lightgcn, sasrec, rates, als, imported, fused")
    ],
    output: Annotated[Path, typer.Option(help="Folder for the fitted model.")],
    seed: Annotated[int, typer.Option()] = 0,
    train_until: Annotated[
        float, typer.Option(help="Fit on this earliest share of the training rows only.")
    ] = 1.0,
    option: Options = None,
) -> None:
    """Fit a collaborative-filtering model: the vectors that CoRA turns into weights."""
    from corarec.cf import FitConfig
    from corarec.cf import fit_cf as run_fit
    from corarec.data import Dataset

    values = {"model": model, "options": _named_values(option), "train_until": train_until}
    config = FitConfig.parse(values, "The command")
    run_fit(Dataset.load(data), config, seed=seed, output=output, console=console)
    console.print(f"Written to {output}")


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="A recipe (YAML).")],
    output: Annotated[Path, typer.Option(help="Run folder; a run that stopped there goes on.")],
    override: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Such as train.steps=100; repeat."),
    ] = None,
) -> None:
    """Train a system around a language model."""
    from corarec.train import train_run
    from corarec.train.recipe import load_recipe

    config = load_recipe(recipe, override or ())
    train_run(config, output, show=_show_record, console=console)
    console.print(f"The run is in {output}. Next: corarec evaluate {output}")


@app.command()
def evaluate(
    run: RunFolder,
    split: SplitOption = "valid",
    min_interactions: Annotated[
        int | None,
        typer.Option(
            min=1, help="Instead of warm and cold: user and item have so many rows in train."
        ),
    ] = None,
    draws: Annotated[int, typer.Option(help="Bootstrap draws.")] = 1000,
    form: FormOption = "table",
) -> None:
    """Score one part and print AUC and UAUC with intervals, beside the trivial references."""
    from corarec.evaluate import markdown, terminal_tables
    from corarec.report.runs import evaluate_run
    from corarec.score import load_run

    opened = load_run(run)
    with _progress(len(opened.dataset.rows(split)), f"scoring {split}") as advance:
        result = evaluate_run(
            opened,
            split,
            min_interactions=min_interactions,
            config=_bootstrap(draws),
            progress=advance,
        )
    _print_result(form, result, terminal_tables(result), markdown(result))


@app.command()
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
    draws: Annotated[int, typer.Option(help="Bootstrap draws.")] = 1000,
    form: FormOption = "table",
) -> None:
    """Rank the whole catalogue for every user of one part: Recall, NDCG, HR and MRR."""
    from corarec.evaluate import RankingConfig, ranking_markdown, ranking_tables
    from corarec.report.ranking import rank_run, ranked_users
    from corarec.score import load_run

    config = RankingConfig.parse({"cutoffs": cutoff or (10, 20)}, "--cutoff")
    opened = load_run(run)
    total = candidates * len(ranked_users(opened.dataset, split, users))
    with _progress(total, f"ranking for {split}") as advance:
        result = rank_run(
            opened,
            split,
            candidates=candidates,
            max_users=users,
            config=config,
            bootstrap=_bootstrap(draws),
            progress=advance,
        )
    _print_result(form, result, ranking_tables(result), ranking_markdown(result))


@app.command()
def compare(
    first: Annotated[list[Path], typer.Option(help="Runs of one system; repeat for its seeds.")],
    second: Annotated[list[Path], typer.Option(help="Runs of the other; repeat for its seeds.")],
    split: SplitOption = "valid",
    against: Annotated[
        str | None,
        typer.Option(help="Compare with this row of the second runs' results, e.g. 'mf alone'."),
    ] = None,
    draws: Annotated[int, typer.Option(help="Bootstrap draws.")] = 1000,
) -> None:
    """Test two evaluated systems against each other, paired over users."""
    from corarec.evaluate import ResultTable, terminal_tables
    from corarec.report.runs import compare_runs

    names = (first[0].name, against or second[0].name)
    evaluations, comparison = compare_runs(
        first,
        second,
        split,
        names=names,
        second_column=against,
        config=_bootstrap(draws),
    )
    result = ResultTable(
        dataset="", split=split, systems=evaluations, references=[], comparisons=[comparison]
    )
    for table in terminal_tables(result):
        console.print(table)


@app.command()
def score(
    run: RunFolder,
    pairs: Annotated[Path, typer.Option(help="Parquet with columns `user` and `item` (raw ids).")],
    output: Annotated[Path, typer.Option(help="Parquet to write; a stopped command goes on.")],
) -> None:
    """Score a table of pairs with all that is known of each user; to measure, use evaluate."""
    from corarec.score import load_run
    from corarec.score.table import count_rows

    total = count_rows(pairs)
    opened = load_run(run)
    with _progress(total, "scoring") as advance:
        rows = opened.score_file(pairs, output, progress=advance)
    console.print(f"{rows:,} pairs scored into {output}")


@app.command()
def recommend(
    run: RunFolder,
    user: Annotated[str | None, typer.Option(help="Raw id of a known user.")] = None,
    liked: Annotated[
        list[str] | None, typer.Option(help="A title that a new user liked; repeat, oldest first.")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="How many.")] = 10,
    candidates: Annotated[int, typer.Option(help="Picked by CF for the language model.")] = 100,
    title: Annotated[
        str | None, typer.Option(help="Instead: would the user enjoy a new item of this title?")
    ] = None,
) -> None:
    """Recommend to a known or a new user, or ask about a new item."""
    from corarec.score import load_run

    opened = load_run(run)
    if title is not None:
        if user is None:
            raise ConfigError("--title asks about a known user: name one with --user.")
        console.print(f"{opened.score_title(user, title):.1%}  {title}")
        return
    best = opened.recommend(user, liked=liked or (), k=k, candidates=candidates)
    for row in best.iter_rows(named=True):
        console.print(f"{row['rank']:>3}  {row['probability']:6.1%}  {row['title']}", markup=False)


@app.command()
def doctor(
    recipe: Annotated[Path, typer.Argument(help="A recipe (YAML).")],
    override: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Repeat for several.")
    ] = None,
) -> None:
    """Say before any hour is spent: answer tokens, prompt lengths, parameters, memory, time."""
    from corarec.train.doctor import diagnose
    from corarec.train.recipe import load_recipe

    for line in diagnose(load_recipe(recipe, override or ())).lines():
        console.print(line, highlight=False)


@app.command()
def pretrain_backbone(
    recipe: Annotated[Path, typer.Argument(help="A pretraining recipe (YAML).")],
    output: Annotated[Path, typer.Option(help="Folder; a run that stopped there goes on.")],
) -> None:
    """Pretrain a small language model, such as the one that ships."""
    from corarec.backbone.pretrain import pretrain_backbone as run_pretraining

    run_pretraining(recipe, output)


@app.command()
def report(run: RunFolder, split: SplitOption = "valid") -> None:
    """Write one HTML page about an evaluated run."""
    from corarec.report.run_page import report_run
    from corarec.score import load_run

    console.print(f"Written to {report_run(load_run(run), split)}")


@app.command()
def quickstart(
    data: Annotated[
        Path | None, typer.Option(help="A MovieLens-1M folder or zip, instead of a made-up world.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("quickstart"),
) -> None:
    """From interactions to recommendations in minutes, with a report to read."""
    from corarec.quickstart import run_quickstart

    run_quickstart(output, data, console)


def main() -> None:
    """Run the command line; an error that the user can act on is one line and exit status 1."""
    # PEFT asks Transformers by a name that is going out of use; nothing for a user to act on.
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
    try:
        app()
    except CorarecError as error:
        stderr = Console(stderr=True)
        stderr.print("error:", style="bold red", end=" ")
        stderr.print(str(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)


def _print_result(form: Form, result: "Result", tables: list["Table"], text: str) -> None:
    if form == "table":
        for table in tables:
            console.print(table)
    else:
        print(text if form == "markdown" else result.model_dump_json(indent=2))


def _bootstrap(draws: int) -> "BootstrapConfig":
    from corarec.evaluate import BootstrapConfig

    return BootstrapConfig.parse({"draws": draws}, "--draws")


def _named_values(options: list[str] | None) -> dict[str, Any]:
    values = {}
    for option in options or []:
        name, equals, value = option.partition("=")
        if not equals:
            raise ConfigError(f"The option {option!r} has no value; write it as {name}=VALUE.")
        try:
            values[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            values[name] = value
    return values


@contextmanager
def _progress(total: int, what: str) -> Iterator[Callable[[int], None]]:
    columns = TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)


def _show_record(record: dict[str, float]) -> None:
    names = {"step": "{:.0f}", "seconds": "{:.0f} s", "learning_rate": "{:.1e}"}
    console.print(
        "  ".join(f"{name} {names.get(name, '{:.4f}').format(v)}" for name, v in record.items()),
        highlight=False,
    )

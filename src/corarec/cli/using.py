"""Commands that use a trained run, and the one that makes and uses one at once."""

from pathlib import Path
from typing import Annotated

import typer

from corarec.cli.names import SOURCES, SPLIT_RULES, completing
from corarec.cli.options import (
    Options,
    RayAddress,
    RunData,
    RunFolder,
    SplitOptions,
    TableOrJson,
    Workers,
    hands,
    named_values,
)
from corarec.cli.output import (
    console,
    log,
    print_json,
    print_recommendations,
    say,
    scoring_progress,
)
from corarec.errors import ConfigError
from corarec.text import printable


def score(
    run: RunFolder,
    pairs: Annotated[
        Path,
        typer.Option(help="Table with columns `user` and `item` (raw ids): .parquet, .csv, .tsv."),
    ],
    output: Annotated[
        Path, typer.Option(help=".parquet, .csv or .tsv to write; a stopped command goes on.")
    ],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that stands at --output.")
    ] = False,
    workers: Workers = 1,
    ray: RayAddress = None,
    form: TableOrJson = "table",
    data: RunData = None,
) -> None:
    """Score a table of pairs with all that is known of each user; to measure, use evaluate."""
    from corarec.runs import load_run
    from corarec.score.formats import count_rows
    from corarec.score.table import check_output

    check_output(pairs, output, overwrite=overwrite)
    total = count_rows(pairs)
    who = hands(workers, ray)
    opened = load_run(run, data, system=who.here)
    with scoring_progress(total, "scoring") as advance:
        rows = opened.score_file(pairs, output, overwrite=overwrite, hands=who, progress=advance)
    if form == "json":
        print_json({"run": str(run), "pairs": str(pairs), "rows": rows, "output": str(output)})
    else:
        say(f"{rows:,} pairs scored into {output}")


def recommend(
    run: RunFolder,
    user: Annotated[str | None, typer.Option(help="Raw id of a known user.")] = None,
    liked: Annotated[
        list[str] | None, typer.Option(help="A title that a new user liked; repeat, oldest first.")
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many.")] = 10,
    candidates: Annotated[
        int, typer.Option(min=1, help="Picked by CF for the language model.")
    ] = 100,
    title: Annotated[
        str | None, typer.Option(help="Instead: would the user enjoy a new item of this title?")
    ] = None,
    form: TableOrJson = "table",
    data: RunData = None,
) -> None:
    """Recommend to a known or a new user, or ask about a new item."""
    from corarec.runs import load_run

    if title is not None and (user is None or liked):
        raise ConfigError("--title asks about a known user: name one with --user, without --liked.")
    if title is None and (user is None) == (not liked):
        raise ConfigError(
            "Recommend to whom? Give either --user, the id of a known user, or --liked, a title "
            "that a new user liked (repeat it for several)."
        )
    if k > candidates:
        raise ConfigError(
            f"-k {k} asks for more items than --candidates {candidates}; raise --candidates."
        )
    opened = load_run(run, data)
    asked = {"run": str(run), "user": user, "liked": liked or []}
    if title is not None and user is not None:
        probability = opened.score_title(user, title)
        if form == "json":
            print_json(asked | {"title": title, "probability": probability})
        else:
            say(f"{probability:.1%}  {printable(title)}")
        return
    best = opened.recommend(user, liked=liked or (), k=k, candidates=candidates)
    order = opened.order_words(user, liked=liked or ())
    if form == "json":
        print_json(asked | {"order": order, "recommendations": best.to_dicts()})
        return
    print_recommendations(best)
    if opened.joined is not None:
        say(f"In the order of {order}.", log)
    if len(best) < k:
        say(f"Only {len(best)} items are left that were not seen before.", log)


def quickstart(
    data: Annotated[
        Path | None,
        typer.Option(help="What `prepare` reads, or a dataset folder, for the made-up world."),
    ] = None,
    output: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("quickstart"),
    source: Annotated[
        str | None,
        typer.Option(
            help=f"{', '.join(SOURCES)}; found out where it is not given.",
            autocompletion=completing(SOURCES),
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help=f"{', '.join(SPLIT_RULES)}; published splits, or else by time.",
            autocompletion=completing(SPLIT_RULES),
        ),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Ratings of at least this are positives.")
    ] = None,
    option: Options = None,
    split_option: SplitOptions = None,
) -> None:
    """From interactions to recommendations in minutes, with a report to read."""
    from corarec.data import LabelConfig
    from corarec.quickstart import Request, run_quickstart

    request = Request(
        input=data,
        source=source,
        split=split,
        labels=LabelConfig.parse({"threshold": threshold}, "--threshold"),
        source_options=named_values(option),
        split_options=named_values(split_option),
    )
    run_quickstart(output, request, console, log)

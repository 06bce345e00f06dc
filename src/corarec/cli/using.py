"""Commands that use a trained run, and the one that makes and uses one at once."""

from pathlib import Path
from typing import Annotated

import typer

from corarec.cli.options import RunFolder
from corarec.cli.output import console, progress_bar
from corarec.errors import ConfigError


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
    with progress_bar(total, "scoring") as advance:
        rows = opened.score_file(pairs, output, progress=advance)
    console.print(f"{rows:,} pairs scored into {output}")


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


def quickstart(
    data: Annotated[
        Path | None, typer.Option(help="A MovieLens-1M folder or zip, instead of a made-up world.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("quickstart"),
) -> None:
    """From interactions to recommendations in minutes, with a report to read."""
    from corarec.quickstart import run_quickstart

    run_quickstart(output, data, console)

"""The command that teaches a run's CF model what a service was told."""

from pathlib import Path
from typing import Annotated

import typer

from corarec.cli.options import RunData, RunFolder, TableOrJson
from corarec.cli.output import print_json, say


def refresh(
    run: RunFolder,
    events: Annotated[
        Path, typer.Option(help="Parquet file that `corarec events export` wrote: all events.")
    ],
    items: Annotated[
        Path | None,
        typer.Option(help="Parquet file of added items; by default the one beside the events."),
    ] = None,
    form: TableOrJson = "table",
    data: RunData = None,
) -> None:
    """Fold new users, items and events into the CF model of a run, for services.

    The space of the vectors stays as it is, for the system was trained on it: item vectors of the
    fit do not move, new users and items are placed among them. The run itself stays as it was
    trained and measured.
    """
    from corarec.runs.refresh import REFRESHES, refresh_run

    record = refresh_run(run, events, items, data)
    place = run / REFRESHES / record.fingerprint
    if form == "json":
        print_json({"run": str(run), "refresh": str(place), **record.model_dump(mode="json")})
        return
    say(
        f"{record.events:,} likes and dislikes, {record.users:,} new users and {record.items:,} "
        f"new items are learned, in {place}. Services that are started now use it; a running one "
        "takes it when it is told to."
    )
    say(
        "The space is that of the old fit. To fit anew, prepare a dataset with the events "
        "(`corarec prepare events`) and train on it with `train.init_from` naming this run: a new "
        "fit alone would turn the space under the trained system."
    )

"""The command that makes a run ready to be sent."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from corarec.cli.options import RunData, RunFolder, TableOrJson
from corarec.cli.output import print_json, say

if TYPE_CHECKING:
    from corarec.runs.pack import Packed


def pack(
    run: RunFolder,
    output: Annotated[
        Path | None, typer.Option(help="A .zip file, or a folder; RUN.zip where it is left out.")
    ] = None,
    without_users: Annotated[
        bool,
        typer.Option("--without-users", help="Leave out ids and histories of the known users."),
    ] = False,
    with_backbone: Annotated[
        bool,
        typer.Option("--with-backbone", help="Put a language model of one's own in, too."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that stands at --output.")
    ] = False,
    form: TableOrJson = "table",
    data: RunData = None,
) -> None:
    """Pack a run with all that it needs to recommend and score, to be used without its dataset."""
    from corarec.runs.pack import pack_run

    packed = pack_run(
        run,
        output,
        data=data,
        without_users=without_users,
        include_backbone=with_backbone,
        overwrite=overwrite,
    )
    if form == "json":
        print_json({"run": str(run), **asdict(packed), "output": str(packed.output)})
        return
    say(f"{run} is packed into {packed.output} ({packed.size / 1e6:,.1f} MB).")
    say(_people(packed, without_users=without_users))
    say(_backbone(packed.backbone))


def _people(packed: "Packed", *, without_users: bool) -> str:
    learned = "What its models learned from people is in it, too, without an id."
    if packed.users:
        rated = ", with their ratings" if packed.rated else ""
        return (
            f"In it are {packed.items:,} titles and, of {packed.users:,} people, their ids, the "
            f"{packed.liked:,} times that they liked an item and the "
            f"{packed.rows - packed.liked:,} that they did not{rated}. {learned} Give it only to "
            "those who may know that; --without-users leaves ids and histories out."
        )
    left_out = "Known users were left out" if without_users else "It holds no known users"
    return (
        f"In it are {packed.items:,} titles. {left_out}: no id, no history; it serves new users by "
        f"the titles that they liked. {learned}"
    )


def _backbone(name: str) -> str:
    if name == "backbone":
        return "The language model is in it, too."
    if name == "bundled":
        return "The language model is the one that comes with corarec."
    return (
        f"The language model is not in it: the other machine needs {name}, at the same place or "
        "from the hub. --with-backbone packs one that is a folder."
    )

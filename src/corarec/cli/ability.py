"""The command that measures what a language model still can do in general."""

from pathlib import Path
from typing import Annotated

import typer

from corarec.cli.options import Draws, FormOption, Seed, bootstrap
from corarec.cli.output import console, log, print_json, say
from corarec.progress import progress
from corarec.text import printable_lines


def general_ability(
    runs: Annotated[list[Path], typer.Argument(help="Run folders on one language model.")],
    output: Annotated[Path, typer.Option(help="Folder for the results.")],
    questions: Annotated[
        list[Path] | None,
        typer.Option(
            "--data", help="A file of questions (.json, .jsonl, .txt), or a folder of them; repeat."
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(help="Held-out text: FILE.txt, or FILE.parquet:COLUMN; repeat."),
    ] = None,
    repeats: Annotated[
        int, typer.Option(min=0, help="Descriptions of a user and an item to be repeated.")
    ] = 0,
    user: Annotated[
        list[str] | None,
        typer.Option(help="Measure under this user's increment, too (raw id); repeat."),
    ] = None,
    item: Annotated[
        str | None, typer.Option(help="An item (raw id) beside the --user; none: the user alone.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="The most examples of a file, drawn by the seed.")
    ] = None,
    batch_tokens: Annotated[
        int, typer.Option(min=64, help="Tokens of a batch, padding included.")
    ] = 4096,
    seed: Seed = 0,
    draws: Draws = 1000,
    form: FormOption = "table",
    run_data: Annotated[
        Path | None, typer.Option(help="Where the runs' dataset is now, if it was moved.")
    ] = None,
) -> None:
    """Measure a language model's general ability before and after it was trained to recommend."""
    from corarec.ability.files import question_files, read_tasks, read_texts
    from corarec.ability.keep import check_output, keep
    from corarec.ability.measure import measure_ability
    from corarec.ability.wanted import Wanted
    from corarec.errors import ConfigError
    from corarec.report.ability import ability_markdown, ability_tables

    if item is not None and not user:
        raise ConfigError("--item stands beside a --user. Name one, or leave --item out.")
    tasks = read_tasks(questions or [], limit, seed)
    texts = read_texts(text or [], limit, seed)
    inputs = [*runs, *question_files(questions or []), *(each.path for each in texts)]
    place = check_output(output, inputs)
    wanted = Wanted(
        tasks,
        texts,
        repeats,
        tuple(dict.fromkeys(user or ())),
        item,
        limit=limit,
        seed=seed,
        batch_tokens=batch_tokens,
        bootstrap=bootstrap(draws),
    )
    states = 1 + len(runs) + len(wanted.users)
    with progress(log, "general ability", wanted.steps() * states) as tracker:
        table, measured = measure_ability(runs, wanted, data=run_data, tracker=tracker)
    page = ability_markdown(table)
    keep(table, measured, page, place)
    if form == "json":
        print_json(table.model_dump(mode="json"))
    elif form == "markdown":
        print(printable_lines(page))
    else:
        for each in ability_tables(table):
            console.print(each)
    for note in table.notes:
        say(f"note: {note}", log)
    say(f"Written to {place}", log)

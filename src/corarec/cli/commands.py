"""The table of commands, and what happens to an error."""

import sys
import time
import warnings
from typing import Annotated

import typer

from corarec import __version__
from corarec.cli.ability import general_ability
from corarec.cli.benchmarking import benchmark
from corarec.cli.data import fit_cf, init, prepare
from corarec.cli.explaining import explain, export_lora
from corarec.cli.measuring import compare, evaluate, evaluate_ranking, learn_ranking, report
from corarec.cli.names import options
from corarec.cli.output import log, place_among_processes, prepare_streams, say
from corarec.cli.packing import pack
from corarec.cli.refreshing import refresh
from corarec.cli.serving import api_key, events, serve
from corarec.cli.training import doctor, pretrain_backbone, profile, train
from corarec.cli.tuning import tune
from corarec.cli.using import quickstart, recommend, score
from corarec.errors import CorarecError
from corarec.system_errors import system_message

app = typer.Typer(
    name="corarec",
    help="Collaborative filtering as generated weights for a frozen large language model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

_OPTIONS_OF = "Its own options, with values, defaults and meaning: corarec options NAME"

for _command, _epilog in (
    (prepare, f"{_OPTIONS_OF}, where NAME is a source or a split rule."),
    (fit_cf, f"{_OPTIONS_OF}, where NAME is a CF model."),
    (options, ""),
    (init, ""),
    (train, "All keys of a recipe: docs/recipe.md, or corarec options for those of its parts."),
    (tune, "What to tune and how it goes on: docs/tuning.md."),
    (evaluate, ""),
    (evaluate_ranking, ""),
    (learn_ranking, ""),
    (compare, ""),
    (benchmark, "How a suite is written: docs/benchmark.md."),
    (
        general_ability,
        "Needs: pip install 'corarec[ability]'. What to give it: docs/general-ability.md.",
    ),
    (score, ""),
    (recommend, ""),
    (explain, ""),
    (export_lora, ""),
    (pack, ""),
    (refresh, "What it learns and what it leaves: docs/live.md."),
    (serve, "How to run, secure, size and upgrade it: docs/serving.md."),
    (api_key, ""),
    (doctor, ""),
    (profile, "What the figures mean: docs/performance.md."),
    (pretrain_backbone, ""),
    (report, ""),
    (quickstart, ""),
):
    app.command(epilog=_epilog)(_command)
app.add_typer(events, name="events")


def _print_version(wanted: bool) -> None:
    if wanted:
        say(f"corarec {__version__}")
        raise typer.Exit


@app.callback()
def _corarec(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print it, exit."),
    ] = False,
) -> None:
    pass


INTERRUPTED = 130
"""Exit status after Ctrl-C."""
SECONDS_FOR_THE_FIRST = 10.0
"""What an error waits in all but the first of several processes."""
RESUMABLE = (
    "train",
    "tune",
    "benchmark",
    "score",
    "evaluate",
    "evaluate-ranking",
    "pretrain-backbone",
    "fit-cf",
    "quickstart",
)
"""Commands that go on where they were stopped."""


def main() -> None:
    """Run the command line; an error that the user can act on is one line and exit status 1."""
    # PEFT asks Transformers by a name that is going out of use; nothing for a user to act on.
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
    prepare_streams()
    try:
        app()
    except Exception as error:
        message = str(error) if isinstance(error, CorarecError) else system_message(error)
        place, count = place_among_processes()
        if count > 1 and place > 0:
            # Of an error that all have, the first tells, and its end ends the others.
            time.sleep(SECONDS_FOR_THE_FIRST)
            log.quiet = False
            message = message and f"Process {place + 1} of {count}: {message}"
        if message is None:
            raise
        log.print("error:", style="bold red", end=" ")
        say(message, log)
        sys.exit(1)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            resumable = any(verb in RESUMABLE for verb in sys.argv[1:2])
            say(f"stopped.{' The same command goes on where it was.' * resumable}", log)
        raise

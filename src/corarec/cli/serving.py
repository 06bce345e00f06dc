"""Commands around the service of a run."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from corarec.cli.options import RunData, RunFolder, TableOrJson
from corarec.cli.output import console, log, print_json, say
from corarec.errors import ConfigError

events = typer.Typer(help="What a service was told.", no_args_is_help=True)

StoreOption = Annotated[
    str | None,
    typer.Option(help="A database, sqlite:///FILE or postgresql://... By default a file in RUN."),
]


def serve(
    run: RunFolder,
    beside: Annotated[
        Path | None,
        typer.Option(help="Another run of the same dataset: the pages show both side by side."),
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0: a free one.")] = 8000,
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Processes behind the port; each holds the model.")
    ] = 1,
    store: StoreOption = None,
    adopt_store: Annotated[
        bool,
        typer.Option(
            "--adopt-store",
            help="Take a store of another dataset, where ids mean the same in both.",
        ),
    ] = False,
    keys: Annotated[
        Path | None,
        typer.Option(help="File of API keys (`corarec api-key`); without it anybody may ask."),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(help="A page's origin that browsers may let ask (CORS); repeat."),
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A name by which it may be asked; repeat.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A limit, such as deadline_seconds=10 (docs/serving.md); repeat.",
        ),
    ] = None,
    data: RunData = None,
) -> None:
    """Serve a run over HTTP, with pages for a browser, at the address that is printed.

    Ctrl-C or SIGTERM ends it when what was asked is answered.
    """
    from corarec.cli.options import named_values
    from corarec.serve.server import address, bind, check
    from corarec.serve.server import serve as serve_settings
    from corarec.serve.settings import ServeSettings

    values = named_values(option)
    named = {
        "run": run,
        "data": data,
        "beside": beside,
        "host": host,
        "port": port,
        "workers": workers,
        "store": store,
        "adopt_store": adopt_store,
        "keys": keys,
        "allow_origins": tuple(allow_origin or ()),
        "allow_hosts": tuple(allow_host or ()),
    }
    if twice := sorted(named.keys() & values.keys()):
        raise ConfigError(f"--set {twice[0]}=... has an option of its own. Use that.")
    settings = check(ServeSettings.parse(named | values, "corarec serve"))
    with bind(settings) as listening:
        say(f"{run} is served at {address(listening)}")
        console.file.flush()
        if settings.keys is None and not settings.hosts:
            say("Anybody who reaches this address may ask it and tell it: see --keys.", log)
        serve_settings(settings, listening)


def api_key(
    keys: Annotated[Path, typer.Option(help="The file of keys; it is made if there is none.")],
    name: Annotated[str, typer.Option(help="What you call the key, such as shop.")],
    kind: Annotated[
        Literal["read", "write"], typer.Option(help="read: ask. write: tell and delete, too.")
    ] = "read",
) -> None:
    """Make an API key: it is printed once, the file keeps a hash of it."""
    from corarec.serve.keys import add_key

    say(add_key(keys, name, kind))
    say(f"This {kind} key is shown only now; {keys} keeps its hash.", log)


@events.command("export")
def export(
    output: Annotated[Path, typer.Option(help=".parquet to write; added items go beside it.")],
    run: Annotated[Path | None, typer.Option(help="The run whose service was told.")] = None,
    store: StoreOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that stand there.")
    ] = False,
    form: TableOrJson = "table",
) -> None:
    """Write what a service was told as a table, oldest first."""
    from corarec.serve.export import export_events
    from corarec.serve.opening import open_store, store_of

    if (run is None) == (store is None):
        raise ConfigError("Export what? Give either --run RUN or --store URL.")
    opened = open_store(store or store_of(run or Path()), make=False)
    try:
        count, items = export_events(opened, output, overwrite=overwrite)
    finally:
        opened.close()
    if form == "json":
        print_json({"events": count, "output": str(output), "items": str(items)})
    else:
        say(f"{count:,} events are in {output}, added items in {items}")

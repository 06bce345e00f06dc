"""Arguments and options that several commands take."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from corarec.errors import ConfigError
from corarec.yaml_files import parse_yaml

if TYPE_CHECKING:
    from corarec.evaluate import BootstrapConfig
    from corarec.workers.crews import Hands

MOST_DRAWS = 100_000
MOST_WORKERS = 256

RunFolder = Annotated[Path, typer.Argument(help="A run folder, or the .zip of a packed run.")]
RunData = Annotated[
    Path | None,
    typer.Option("--data", help="Where the run's dataset is now, if both were not moved together."),
]
Form = Literal["table", "markdown", "json"]
FORM_HELP = "json: one document on the standard output."
FormOption = Annotated[Form, typer.Option("--format", help=FORM_HELP)]
TableOrJson = Annotated[Literal["table", "json"], typer.Option("--format", help=FORM_HELP)]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of all that is random.")]
Draws = Annotated[int, typer.Option(min=1, max=MOST_DRAWS, help="Bootstrap draws.")]
Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        help="auc, uauc, logloss, accuracy (or accuracy@0.7), ece; repeat. By default auc, uauc.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Such as train.steps=100; repeat."),
]
Workers = Annotated[
    int,
    typer.Option(
        min=1, max=MOST_WORKERS, help="Processes; each has its share of cores. 1: this one."
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray", metavar="ADDRESS", help="A Ray cluster for the processes (auto, or HOST:PORT)."
    ),
]
SPLIT_HELP = "Validation chooses, test reports; every scoring of test is logged."
SplitOption = Annotated[Literal["train", "valid", "test"], typer.Option(help=SPLIT_HELP)]
Options = Annotated[
    list[str] | None,
    typer.Option("--option", "-o", metavar="NAME=VALUE", help="Repeat for several."),
]
SplitOptions = Annotated[
    list[str] | None,
    typer.Option("--split-option", metavar="NAME=VALUE", help="Repeat for several."),
]


def named_values(options: list[str] | None) -> dict[str, Any]:
    """Return the NAME=VALUE options as a dictionary; values are read as YAML.

    A value that is no YAML, such as `::`, and a lone sign, such as the separator `|`, is taken as
    text.

    Raises
    ------
    ConfigError
        An option has no value, is given twice, or begins a list or mapping that is none.
    """
    values: dict[str, Any] = {}
    for option in options or []:
        name, equals, value = option.partition("=")
        if not equals:
            raise ConfigError(f"The option {option!r} has no value; write it as {name}=VALUE.")
        if name in values:
            raise ConfigError(f"The option {name!r} is given twice; give it once.")
        if len(value) == 1 and not value.isalnum():
            values[name] = value
            continue
        try:
            values[name] = parse_yaml(value, f"The value of the option {option!r}")
        except ConfigError:
            if value.lstrip().startswith(("{", "[", "&")):
                raise
            values[name] = value
    return values


def chosen_metrics(names: list[str] | None) -> tuple[str, ...]:
    """Return the names of metrics, by default AUC and UAUC.

    Raises
    ------
    ConfigError
        There is no such metric.
    """
    from corarec.evaluate.metrics import DEFAULT_METRICS, metrics_named

    return tuple(metrics_named(names or DEFAULT_METRICS))


def hands(workers: int, ray: str | None) -> "Hands":
    """Return how many processes score, and where."""
    from corarec.workers.crews import Hands

    return Hands.parse({"workers": workers, "ray": ray}, "--workers and --ray")


def bootstrap(draws: int) -> "BootstrapConfig":
    """Return how intervals are drawn."""
    from corarec.evaluate import BootstrapConfig

    return BootstrapConfig.parse({"draws": draws}, "--draws")

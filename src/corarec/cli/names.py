"""Names that options take: for help and completion at once, and with all their options on demand.

The registries take seconds to import, so help and completion have the names here; a test holds
both together.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from corarec.cli.options import TableOrJson
from corarec.cli.output import print_json, say
from corarec.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from corarec.types import Config

SOURCES = ("movielens", "amazon", "yelp", "recbole", "table", "collm", "synthetic")
SPLIT_RULES = ("collm-ml1m", "collm-amazon-book", "temporal", "leave-last-out", "published")
CF_MODELS = ("mf", "mf-b", "lightgcn", "sasrec", "rates", "als", "imported", "fused")
SYSTEMS = ("cora", "tallrec", "icl")


def completing(*names: str) -> Callable[[str], list[str]]:
    """Return what completes a word to one of the names."""
    return lambda incomplete: [name for name in names if name.startswith(incomplete)]


def options(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A source, a split rule, a CF model or a system; all of them without one.",
            autocompletion=completing(*SOURCES, *SPLIT_RULES, *CF_MODELS, *SYSTEMS),
        ),
    ] = None,
    form: TableOrJson = "table",
) -> None:
    """List the options of a source, a split rule, a CF model or a system."""
    groups = registries()
    names = [each for group in groups.values() for each in group]
    if name is not None and name not in names:
        hint = did_you_mean(name, names)
        raise ConfigError(f"There is no {name!r}; choose one of {', '.join(names)}. {hint}".strip())
    chosen = {
        group: {each: config for each, config in known.items() if name in (None, each)}
        for group, known in groups.items()
    }
    if form == "json":
        print_json({group: _described(known) for group, known in chosen.items() if known})
        return
    for group, known in chosen.items():
        for each, described in _described(known).items():
            say(f"{each} ({_USED_AS[group]}): {described['about']}", style="bold")
            if not described["options"]:
                say("  no options")
            for option in described["options"]:
                say(f"  {option['name']}: {option['values']}; default {option['default']}")
                say(f"      {option['meaning']}", style="dim")


def registries() -> dict[str, Mapping[str, "type[Config]"]]:
    """Return the config of every source, split rule, CF model and system by name."""
    from corarec.cf import CF_MODELS as CF
    from corarec.data.prepare import DATA_SOURCES
    from corarec.data.prepare import SPLIT_RULES as SPLITS
    from corarec.recommenders import SystemConfig

    return {
        "sources": DATA_SOURCES,
        "splits": SPLITS,
        "cf_models": {name: model.config_class for name, model in CF.items()},
        "systems": {
            system.model_fields["name"].default: system
            for system in get_args(get_args(SystemConfig)[0])
        },
    }


_USED_AS = {
    "sources": "prepare, --option",
    "splits": "prepare --split, --split-option",
    "cf_models": "fit-cf --model, --option; recipes, cf.options",
    "systems": "recipes, system",
}


def _described(configs: Mapping[str, "type[Config]"]) -> dict[str, Any]:
    from corarec.fields import about

    return {
        name: {"about": about(config), "options": _options(config)}
        for name, config in configs.items()
    }


def _options(config: "type[Config]", prefix: str = "") -> list[dict[str, str]]:
    from corarec.fields import default, is_config, meanings, values

    found = []
    for (key, field), meaning in zip(
        config.model_fields.items(), meanings(config).values(), strict=True
    ):
        if is_config(field.annotation):
            found += _options(field.annotation, f"{prefix}{key}.")
        elif key != "name":
            plain = [text(field).replace("`", "") for text in (values, default)]
            words = dict(zip(("values", "default"), plain, strict=True))
            found.append({"name": f"{prefix}{key}", **words, "meaning": meaning})
    return found

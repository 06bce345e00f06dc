"""Names that options take: for help and completion at once, and with all their options on demand.

The registries take seconds to import, so help and completion have the names here; a test holds
both together.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from corarec.cli.options import TableOrJson
from corarec.cli.output import log, print_json, say
from corarec.errors import ConfigError, did_you_mean
from corarec.registry import plug_ins

if TYPE_CHECKING:
    from corarec.types import Config

SOURCES = ("movielens", "amazon", "yelp", "recbole", "table", "collm", "synthetic", "events")
SPLIT_RULES = (
    "collm-ml1m",
    "collm-amazon-book",
    "temporal",
    "leave-last-out",
    "new-items",
    "published",
)
CF_MODELS = (
    "mf",
    "mf-b",
    "binary-mf",
    "lightgcn",
    "sasrec",
    "rates",
    "als",
    "content",
    "statistics",
    "popularity",
    "ease",
    "item-knn",
    "sasrec-ce",
    "imported",
    "fused",
)
SYSTEMS = (
    "binllm",
    "cllm4rec",
    "collm",
    "cora",
    "icl",
    "personprompt",
    "prompt4nr",
    "tallrec",
)


_GROUPS = {
    SOURCES: "corarec.data_sources",
    SPLIT_RULES: "corarec.split_rules",
    CF_MODELS: "corarec.cf_models",
    SYSTEMS: "corarec.systems",
}


def completing(*kinds: tuple[str, ...]) -> Callable[[str], list[str]]:
    """Return what completes a word to a name of these kinds, or to one that a package brings."""

    def complete(incomplete: str) -> list[str]:
        names = [name for kind in kinds for name in (*kind, *plug_ins(_GROUPS[kind]))]
        return [name for name in names if name.startswith(incomplete)]

    return complete


def options(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A source, a split rule, a CF model or a system; all of them without one.",
            autocompletion=completing(SOURCES, SPLIT_RULES, CF_MODELS, SYSTEMS),
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
    from corarec.recommenders import RECOMMENDERS

    return {
        "sources": DATA_SOURCES.usable(_warn),
        "splits": SPLITS.usable(_warn),
        "cf_models": {name: model.config_class for name, model in CF.usable(_warn).items()},
        "systems": {
            name: system.config_class for name, system in RECOMMENDERS.usable(_warn).items()
        },
    }


def _warn(message: str) -> None:
    say(f"warning: {message}", log)


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

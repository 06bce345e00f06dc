"""`RunConfig`, the recipe of one run: the components' own configs, nested."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Discriminator, Field, Tag, model_validator

from corarec.cf import FitConfig
from corarec.files import atomic_file
from corarec.recipe.training import TrainConfig
from corarec.recipe_files import read_recipe
from corarec.recommenders import RECOMMENDERS, SystemConfig
from corarec.recommenders.cora import CoraSystem
from corarec.types import Config


class FittedCF(Config):
    """A CF model that was fitted earlier."""

    path: Path
    """A folder that `corarec fit-cf` wrote."""


def _cf_kind(value: Any) -> str:
    fitted = "path" in value if isinstance(value, dict) else isinstance(value, FittedCF)
    return "fitted" if fitted else "to fit"


# Told apart before validation, so that an error is about the one that was meant.
ChosenCF = Annotated[
    Annotated[FittedCF, Tag("fitted")] | Annotated[FitConfig, Tag("to fit")],
    Discriminator(_cf_kind),
]


class RunConfig(Config):
    """All that a run depends on; written in full, as `config.yaml`, into its folder."""

    data: Path
    """A dataset folder that `corarec prepare` wrote."""
    cf: ChosenCF | None = None
    """The CF model, for systems that need one: fitted earlier (`path`) or by the run (`model`)."""
    system: SystemConfig = CoraSystem()
    """The recommender around the language model, by its `name`: cora, tallrec or icl."""
    train: TrainConfig = TrainConfig()
    """How it is trained."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    """Start values, order of the rows and dropout."""

    @model_validator(mode="after")
    def _cf_where_needed(self) -> "RunConfig":
        if RECOMMENDERS[self.system.name].needs_cf and self.cf is None:
            raise ValueError(f"the system {self.system.name!r} needs `cf`: a path or a model")
        return self


FREE = (
    "train.steps",
    "train.patience",
    "train.threads",
    "train.report_to",
    "train.gradient_checkpointing",
)
"""Keys that a run may go on with other values of."""
PLACES = ("cf.path", "system.backbone.model", "system.backbone.revision")
"""Keys that say where a thing lies; which thing it is, fingerprints tell."""
MACHINE = ("system.backbone.device_map",)


def flat_values(config: RunConfig) -> dict[str, Any]:
    """Return every value of a config but `data` by its dotted key, such as `train.steps`."""
    values: dict[str, Any] = {}

    def walk(prefix: str, node: Any) -> None:
        if isinstance(node, dict) and node:
            for key, child in node.items():
                walk(f"{prefix}.{key}" if prefix else str(key), child)
        else:
            values[prefix] = node

    walk("", config.model_dump(mode="json", exclude={"data"}))
    return values


def bound_values(config: RunConfig) -> dict[str, Any]:
    """Return the values that trained weights depend on, by dotted key."""
    loose = {*FREE, *PLACES, *MACHINE}
    return {key: value for key, value in flat_values(config).items() if key not in loose}


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a recipe with those it extends, and apply overrides such as `train.steps=100`.

    Paths in a recipe are taken from the folder that the command is run in; only that of `extends`
    is seen from the file.

    Raises
    ------
    ConfigError
        The file is missing or no YAML, or anything in it is unknown or out of bounds; all that is
        wrong is listed at once.
    """
    keys = read_recipe(path, "recipe")
    for override in overrides:
        keys.override(override)
    return RunConfig.parse(keys.values, str(path), keys.place)


def write_config(config: RunConfig, path: Path) -> None:
    """Write a config with every default spelled out."""
    with atomic_file(path) as temporary:
        values = config.model_dump(mode="json")
        temporary.write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), "utf-8")

"""`RunConfig`, the recipe of one run: the components' own configs, nested."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Discriminator, Field, Tag, model_validator

from corarec.cf import FitConfig
from corarec.data import KnowledgePolicy
from corarec.files import atomic_file
from corarec.recipe.phases import PlannedPhase, check_phases, plan_phases
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
    knowledge: KnowledgePolicy = KnowledgePolicy()
    """Which labels a row may see, in training as in measuring: it holds for histories, prompts and
    CF vectors alike. `train` is that of the published protocols."""
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

    @model_validator(mode="after")
    def _rows_to_train_on(self) -> "RunConfig":
        if self.knowledge.policy != "train" and isinstance(self.cf, FitConfig):
            self.cf.check_policy(self.knowledge)
        return self

    @model_validator(mode="after")
    def _phases_fit_the_system(self) -> "RunConfig":
        check_phases(self.system, self.train)
        return self

    @property
    def phases(self) -> list[PlannedPhase]:
        """The phases of its training with everything spelled out; always at least one."""
        return plan_phases(self)


SHARED = ("validation_rows", "validation_fraction", "threads", "report_to")
"""Keys of `train` that no phase has values of its own of."""
FREE = ("steps", "patience", "gradient_checkpointing")
"""Keys of the last phase that a run may go on with other values of."""
ALWAYS_FREE = ("train.threads", "train.report_to")
PLACES = ("cf.path", "system.backbone.model", "system.backbone.revision")
"""Keys that say where a thing lies; which thing it is, fingerprints tell."""
MACHINE = ("system.backbone.device_map",)


def free_keys(config: RunConfig) -> set[str]:
    """Return the dotted keys that a run may go on with other values of."""
    phases = config.phases
    everywhere = {phase.key("gradient_checkpointing") for phase in phases}
    return {*ALWAYS_FREE, *everywhere, *(phases[-1].key(name) for name in FREE)}


def flat_values(config: RunConfig) -> dict[str, Any]:
    """Return every value of a config but `data` by its dotted key, such as `train.steps`.

    Where there are phases, each has all its values, as in `train.phases.NAME.steps`, and of `train`
    itself only what they share is left.
    """
    values: dict[str, Any] = {}

    def walk(prefix: str, node: Any) -> None:
        if isinstance(node, dict) and node:
            for key, child in node.items():
                walk(f"{prefix}.{key}" if prefix else str(key), child)
        else:
            values[prefix] = node

    dump = config.model_dump(mode="json", exclude={"data"})
    train = dump["train"]
    if config.train.phases:
        dump["train"] = {key: train[key] for key in SHARED} | {
            "phases": {
                "order": [phase.name for phase in config.phases],
                **{phase.name: _phase_values(phase) for phase in config.phases},
            }
        }
    walk("", dump)
    return values


def is_default(config: RunConfig, key: str) -> bool:
    """Return whether a value of `flat_values` is the default of its key."""
    path = key.split(".")
    node: Any = config
    if path[:2] == ["train", "phases"] and len(path) > 3:
        phase = next((each for each in config.phases if each.name == path[2]), None)
        path = path[3:]
        node = getattr(phase, "system" if path[0] == "prompt" else "train", None)
    for part in path[:-1]:
        node = getattr(node, part, None)
    field = getattr(type(node), "model_fields", {}).get(path[-1])
    if field is None or field.is_required():
        return False
    return bool(getattr(node, path[-1]) == field.get_default(call_default_factory=True))


def _phase_values(phase: PlannedPhase) -> dict[str, Any]:
    train = phase.train.model_dump(mode="json", exclude={"phases", *SHARED})
    prompt = phase.system.prompt.model_dump(mode="json") if phase.system.prompt else None
    parameters = None if phase.system.parameters is None else sorted(phase.system.parameters)
    given = {
        "parameters": parameters,
        "init_from": phase.init_from,
        "prompt": prompt,
        "task": phase.system.task,
    }
    return train | given


def bound_values(config: RunConfig) -> dict[str, Any]:
    """Return the values that trained weights depend on, by dotted key."""
    places = (phase.key("init_from") for phase in config.phases)
    loose = {*free_keys(config), *PLACES, *MACHINE, *places}
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

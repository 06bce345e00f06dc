"""Whether what lies in a folder is the run, or the CF model, that a suite asks for."""

from pathlib import Path

from corarec.cf import CF_MODELS, FitConfig
from corarec.cf.identity import IDENTITY_FILE, REPORT_FILE, read_identity
from corarec.cf.report import FitReport
from corarec.data import KnowledgePolicy
from corarec.errors import ArtifactError, ConfigError
from corarec.files import read_json
from corarec.recipe import FittedCF, RunConfig, flat_values, load_recipe
from corarec.runs.dataset import read_run_data
from corarec.runs.layout import CF, CONFIG
from corarec.types import Fingerprint

FREE_HERE = ("train.threads", "train.report_to", "system.backbone.device_map")
"""Keys that say how and where, not what."""


def adopted(
    config: RunConfig,
    choice: FitConfig | FittedCF | None,
    seed: int,
    folder: Path,
    dataset: Fingerprint,
) -> RunConfig:
    """Return the config of the run in a folder, once it is seen to be what the suite asks for.

    Where things lie may differ; what they are may not.

    Raises
    ------
    ConfigError
        The run is of another recipe, dataset or CF model.
    """
    advice = "It is left as it is: delete the folder to make the run anew, or rename the row."
    there = load_recipe(folder / CONFIG)
    one, other = run_content(there), run_content(config)
    differing = [key for key in sorted(one.keys() | other.keys()) if one.get(key) != other.get(key)]
    if differing:
        told = [f"{key} ({one.get(key)} there, {other.get(key)} asked for)" for key in differing]
        raise ConfigError(f"{folder} holds a run of another recipe: {', '.join(told)}. {advice}")
    if changed := read_run_data(folder).fingerprint.differences(dataset):
        raise ConfigError(
            f"{folder} holds a run on another dataset, whose {', '.join(changed)} differ from "
            f"those of {config.data}. {advice}"
        )
    if not _same_cf(there, choice, seed, folder, dataset):
        raise ConfigError(f"{folder} holds a run with another CF model. {advice}")
    threads = {"threads": config.train.threads, "report_to": config.train.report_to}
    train = there.train.model_copy(update=threads)
    return there.model_copy(update={"train": train, "data": config.data})


def run_content(config: RunConfig) -> dict[str, object]:
    """Return the values that make a run what it is."""
    values = flat_values(config)
    places = {phase.key("init_from") for phase in config.phases if phase.init_from}
    other = {key for key in values if key.partition(".")[0] == "cf"}
    return {
        key: value
        for key, value in values.items()
        if key not in {*FREE_HERE, *places, *other} and not key.endswith("gradient_checkpointing")
    }


def _same_cf(
    there: RunConfig,
    choice: FitConfig | FittedCF | None,
    seed: int,
    folder: Path,
    dataset: Fingerprint,
) -> bool:
    if choice is None or there.cf is None:
        return choice is there.cf
    if isinstance(there.cf, FitConfig):
        return there.cf == choice
    copy = folder / CF if (folder / CF).exists() else there.cf.path
    if not (copy / IDENTITY_FILE).exists():  # not fitted yet, or moved away before it was copied
        return isinstance(choice, FitConfig) or there.cf == choice
    if isinstance(choice, FittedCF):
        return _files(copy) == _files(choice.path)
    return is_fit(copy, choice, seed, dataset, there.knowledge)


def is_fit(
    folder: Path,
    choice: FitConfig,
    seed: int,
    dataset: Fingerprint,
    knowledge: KnowledgePolicy,
) -> bool:
    """Return whether a fitted CF model is of this choice, seed, dataset and policy."""
    try:
        identity = read_identity(folder)
        report = FitReport.model_validate(read_json(folder / REPORT_FILE))
    except (ArtifactError, ValueError):
        return False
    kind = CF_MODELS.get(identity.model)
    try:
        # Read by its class: what a later version added has its default there.
        config = kind.config_class.model_validate(identity.config) if kind else None
    except ValueError:
        return False
    same_rows = identity.dataset is not None and not identity.dataset.differences(
        dataset, ("users", "items", "train", "valid", "earlier")
    )
    return (
        (identity.model, config, report.seed) == (choice.model, choice.build().config, seed)
        and (report.trained_until is None) == (choice.train_until == 1)
        and report.knowledge == knowledge
        and same_rows
    )


def _files(folder: Path) -> dict[str, str] | None:
    try:
        return read_identity(folder).files
    except ArtifactError:
        return None

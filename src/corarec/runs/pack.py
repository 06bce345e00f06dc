"""A run made ready to be sent: all that it needs to recommend, in one archive or folder."""

import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from corarec.cf.identity import IDENTITY_FILE, read_identity
from corarec.errors import ConfigError
from corarec.files import atomic_directory, atomic_file, real_place, sha256, write_json
from corarec.ownership import MARKER, check_inputs_survive
from corarec.recipe import FittedCF, RunConfig, write_config
from corarec.runs.dataset import read_run_data
from corarec.runs.layout import BACKBONE, BEST, CF, CONFIG, DATA, KNOWLEDGE, PACK, RANKING
from corarec.runs.open import read_run, sealed, with_backbone
from corarec.runs.packed import PackList, unpacked
from corarec.staging import temporary_folder
from corarec.system_errors import storage_errors

KIND = "packed run"
SUFFIX = ".zip"
BUNDLED = "bundled"
_MODEL_FILES = {".json", ".safetensors", ".model", ".txt", ".jinja"}
"""What a language model is read from; never pickles or code."""
_THE_BEGINNING = (1980, 1, 1, 0, 0, 0)
"""The time of every file in an archive, so that the same run gives the same bytes."""


@dataclass(frozen=True)
class Packed:
    """What was packed."""

    output: Path
    size: int
    """In bytes."""
    items: int
    users: int
    """Known users whose ids and histories are in it."""
    rows: int
    """What these users liked or did not."""
    liked: int
    rated: bool
    """Whether their ratings are in it."""
    backbone: str
    """The language model that it needs; `backbone` where that is in it."""


def pack_run(
    run: Path,
    output: Path | None = None,
    *,
    data: Path | None = None,
    without_users: bool = False,
    include_backbone: bool = False,
    overwrite: bool = False,
) -> Packed:
    """Pack what a trained run needs to recommend and to score, without its dataset.

    In it are the config, the CF model, the best weights and, of the dataset, titles, raw ids,
    popularity and what each user did. The same run gives the same bytes.

    Parameters
    ----------
    run
        A run folder, packed or not.
    output
        A `.zip` file, or else a folder; by default `RUN.zip` beside the run.
    data
        Where the run's dataset is now.
    without_users
        Leave known users out: ids and histories. The packed run then serves new users by the
        titles that they liked.
    include_backbone
        Put the language model in, too, where it is a folder on this machine.
    overwrite
        Replace a file at `output`.

    Raises
    ------
    ArtifactError
        The run cannot be opened, see `open_run`.
    ConfigError
        Something else stands at `output`, the system needs training rows, or the language model is
        no folder.
    """
    name = run.resolve().name.removesuffix(SUFFIX)
    output = real_place(output or run.with_name(f"{name}{SUFFIX}"))
    _check_output(run, output, overwrite=overwrite)
    with storage_errors(run), unpacked(run) as folder:
        config, knowledge, _ = read_run(folder, data)
        if config.system.needs_training_rows:
            raise ConfigError(
                f"{run} reads rows of the training split, as controls and prompts with answered "
                "examples do, so it cannot be packed. Send the run folder with its dataset."
            )
        if without_users:
            knowledge = knowledge.without_users()
        elif config.knowledge.policy != "streaming":
            prompt = getattr(config.system, "prompt", None)
            stars = prompt is not None and prompt.shows_stars
            knowledge = knowledge.without_times(keep_stars=stars)
        model = _model_folder(folder, config, include=include_backbone)
        config = _portable(config, knowledge.name, has_model=model is not None)
        with _written(output) as new:
            if config.cf:
                _copy_cf(folder / CF, new / CF)
            _copy_best(folder, new)
            write_config(config, new / CONFIG)
            if (folder / RANKING).exists():
                shutil.copyfile(folder / RANKING, new / RANKING)
            record = read_run_data(folder).model_copy(update={"path": knowledge.name})
            write_json(new / DATA, record.model_dump(mode="json"))
            (new / KNOWLEDGE).mkdir()
            knowledge.write(new / KNOWLEDGE)
            if model is not None:
                _copy_model(model, new / BACKBONE)
            sealed(new, config, knowledge)  # as it lies there, whatever became of the run meanwhile
            backbone = config.system.backbone.model
            packed = PackList(backbone=backbone, files={n: sha256(new / n) for n in _names(new)})
            write_json(new / PACK, packed.model_dump(mode="json"))
    return Packed(
        output=output,
        size=output.stat().st_size if output.is_file() else _size(output),
        items=knowledge.catalogue.num_items,
        users=len(knowledge.users),
        rows=len(knowledge.timeline.labels),
        liked=int(knowledge.timeline.labels.sum()),
        rated=knowledge.timeline.stars is not None,
        backbone=backbone,
    )


def _check_output(run: Path, output: Path, *, overwrite: bool) -> None:
    check_inputs_survive(output, [run, run / CONFIG])
    if run.is_dir() and run.resolve() in output.parents:
        raise ConfigError(f"{output} lies inside the run. Choose an --output beside it.")
    if output.suffix != SUFFIX:
        return  # a folder, of which `atomic_directory` sees to it that nothing is lost
    if output.is_dir():
        raise ConfigError(f"{output} is a folder, and an archive is to be written. Name a file.")
    if output.exists() and not overwrite:
        raise ConfigError(
            f"{output} already exists. Choose another --output, or give --overwrite to replace it."
        )


@contextmanager
def _written(output: Path) -> Iterator[Path]:
    """Yield an empty folder; what it holds at the end of the block is the output."""
    if output.suffix != SUFFIX:
        with atomic_directory(output, KIND) as new:
            yield new
        return
    with temporary_folder(output.parent) as temporary:
        new = temporary / "packed"
        new.mkdir()
        yield new
        with atomic_file(output) as file:
            _zip(new, file)


def _zip(folder: Path, file: Path) -> None:
    # Stored, not compressed: compressors differ between machines, and weights hardly shrink.
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name in _names(folder):
            member = zipfile.ZipInfo(name, _THE_BEGINNING)
            member.create_system = 3
            member.external_attr = 0o100644 << 16
            member.file_size = (folder / name).stat().st_size
            with (folder / name).open("rb") as source, archive.open(member, "w") as target:
                shutil.copyfileobj(source, target, 2**20)


def _portable(config: RunConfig, data: str, *, has_model: bool) -> RunConfig:
    """Return a config without places on this machine, as far as the run does without them."""
    changes: dict[str, object] = {"data": Path(data)}
    if isinstance(config.cf, FittedCF):
        changes["cf"] = FittedCF(path=Path(CF))
    config = config.model_copy(update=changes)
    return with_backbone(config, Path(BACKBONE)) if has_model else config


def _model_folder(folder: Path, config: RunConfig, *, include: bool) -> Path | None:
    if (folder / BACKBONE).is_dir():
        return folder / BACKBONE
    if not include:
        return None
    name = config.system.backbone.model
    if name == BUNDLED:
        raise ConfigError(
            "The language model of this run ships with corarec, wherever that is installed. Leave "
            "--with-backbone out."
        )
    if not Path(name).is_dir():
        raise ConfigError(
            f"The language model {name} is no folder on this machine but a name on the hub, from "
            "where another machine gets it, too. Leave --with-backbone out."
        )
    return Path(name)


def _copy_cf(folder: Path, new: Path) -> None:
    _copy(folder, [*read_identity(folder).files, IDENTITY_FILE], new)


def _copy_best(folder: Path, new: Path) -> None:
    best = folder / BEST
    names = [name for name in _names(best) if Path(name).name != MARKER]
    _copy(best, names, new / BEST)


def _copy_model(model: Path, new: Path) -> None:
    files = (path for path in model.iterdir() if path.is_file())
    _copy(model, sorted(path.name for path in files if path.suffix in _MODEL_FILES), new)


def _copy(folder: Path, names: list[str], new: Path) -> None:
    new.mkdir()
    for name in names:
        (new / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, new / name)


def _names(folder: Path) -> list[str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in files)


def _size(folder: Path) -> int:
    return sum((folder / name).stat().st_size for name in _names(folder))

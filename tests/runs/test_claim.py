import json
import multiprocessing
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corarec.data import Dataset
from corarec.errors import ArtifactError, ConfigError, InUseError
from corarec.recipe import RunConfig, load_recipe, write_config
from corarec.runs import check_folder, claimed, layout


@pytest.fixture
def config(moved: Path, recipe: dict[str, Any]) -> RunConfig:
    return RunConfig.parse({**recipe, "data": str(moved / "world")}, "recipe")


@pytest.fixture
def dataset(moved: Path) -> Dataset:
    return Dataset.load(moved / "world")


def with_train(config: RunConfig, **values: Any) -> RunConfig:
    return config.model_copy(update={"train": config.train.model_copy(update=values)})


def test_a_claimed_folder_says_what_it_is(
    config: RunConfig, dataset: Dataset, tmp_path: Path
) -> None:
    with claimed(config, tmp_path / "run", dataset) as changes:
        assert changes == {}
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"config.yaml", "data.json"}
    record = json.loads((tmp_path / "run" / "data.json").read_text())
    assert record["path"] == "../moved/world"
    assert record["fingerprint"] == dataset.fingerprint.model_dump()


def test_two_cannot_hold_one_folder(config: RunConfig, dataset: Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with claimed(config, folder, dataset):
        before = sorted(path.name for path in folder.iterdir())
        with pytest.raises(InUseError, match=f"process {os.getpid()} on"):
            claimed(config, folder, dataset).__enter__()
        assert sorted(path.name for path in folder.iterdir()) == before


def die_after(calls: int, config: RunConfig, dataset: Dataset, folder: Path) -> None:
    """Claim the folder and be killed at the n-th change of the file system."""
    made = 0

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal made
            made += 1
            if made > calls:
                os.kill(os.getpid(), 9)
            return original(*args, **kwargs)

        return call

    for name in ("mkdir", "open", "rename", "replace", "unlink", "write"):
        setattr(os, name, counted(getattr(os, name)))
    for name in ("write_text", "mkdir", "replace", "rename", "unlink"):
        setattr(Path, name, counted(getattr(Path, name)))
    with claimed(config, folder, dataset):
        pass
    os._exit(0)


def test_killed_at_any_moment_it_is_claimed_again(
    config: RunConfig, dataset: Dataset, tmp_path: Path
) -> None:
    states = set()
    for calls in range(60):
        folder = tmp_path / f"run-{calls}"
        process = multiprocessing.get_context("fork").Process(
            target=die_after, args=(calls, config, dataset, folder)
        )
        process.start()
        process.join()
        if folder.exists():
            states.add(tuple(sorted(p.name for p in folder.iterdir() if p.suffix != ".tmp")))
        with claimed(config, folder, dataset):
            pass
        assert load_recipe(folder / "config.yaml") == config
        if process.exitcode == 0:
            break
    else:
        pytest.fail("it was never left to its end")
    assert (".lock", ".lock.owner", "data.json") in states
    assert len(states) >= 4


def test_what_is_not_ours_is_never_claimed(
    config: RunConfig, dataset: Dataset, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("data.json", "thesis.txt"):
        (folder / name).write_text("{}")
    with pytest.raises(ConfigError, match=r"has files in it \(thesis.txt\) but is no run folder"):
        claimed(config, folder, dataset).__enter__()
    assert {path.name for path in folder.iterdir()} == {"thesis.txt", "data.json"}
    with pytest.raises(ConfigError, match="is a file; a run needs a folder"):
        check_folder(config, folder / "thesis.txt")


def test_another_config_is_named_by_its_keys(config: RunConfig, moved: Path) -> None:
    other = with_train(config, batch_size=9).model_copy(update={"seed": 4})
    with pytest.raises(ConfigError, match=r"another seed and train\.batch_size\."):
        check_folder(other, moved / "run")


def test_steps_rise_and_some_keys_change_and_both_are_remembered(
    config: RunConfig, dataset: Dataset, moved: Path
) -> None:
    more = with_train(config, steps=9, threads=None)
    with claimed(more, moved / "run", dataset) as changes:
        assert changes == {"train.steps": (6, 9), "train.threads": (1, None)}
    assert load_recipe(moved / "run" / "config.yaml").train == more.train
    (line,) = (moved / "run" / layout.CHANGES).read_text().splitlines()
    assert json.loads(line)["changes"] == {"train.steps": [6, 9], "train.threads": [1, None]}
    with pytest.raises(ConfigError, match="holds a run of 9 steps and train.steps is 6"):
        check_folder(config, moved / "run")


def test_a_moved_dataset_may_be_named_anew_but_not_another(
    config: RunConfig, dataset: Dataset, moved: Path
) -> None:
    (moved / "world").rename(moved / "elsewhere")
    here = config.model_copy(update={"data": moved / "elsewhere"})
    with claimed(here, moved / "run", dataset):
        pass
    assert json.loads((moved / "run" / "data.json").read_text())["path"] == "../elsewhere"
    items = dataset.items.with_columns(title=dataset.items["title"].reverse())
    retitled = Dataset(dataset.card, dataset.interactions, items, dataset.users)
    with pytest.raises(ArtifactError, match="its titles are others"):
        claimed(here, moved / "run", retitled).__enter__()


def test_a_damaged_config_in_the_folder_is_an_error(config: RunConfig, moved: Path) -> None:
    (moved / "run" / "config.yaml").write_text("when: !!timestamp 2001-99-99")
    with pytest.raises(ConfigError, match="is not YAML"):
        check_folder(config, moved / "run")
    shutil.rmtree(moved / "run")
    write_config(config, moved / "run" / "config.yaml")
    assert check_folder(config, moved / "run") == {}

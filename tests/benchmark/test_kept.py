import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from corarec.benchmark import kept as module
from corarec.benchmark.kept import cache_folder, references_of
from corarec.benchmark.references import ReferenceConfig
from corarec.benchmark.runs import evaluate_run
from corarec.data import Dataset, PrepareConfig, prepare
from corarec.evaluate import BootstrapConfig
from corarec.runs import load_run

FAST = ReferenceConfig(inverse_penalties=(0.1, 1.0))


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the logistic regressions that are fitted."""
    counted: list[int] = []
    fit = LogisticRegression.fit

    def counting(self: Any, x: Any, y: Any) -> Any:
        counted.append(len(y))
        return fit(self, x, y)

    monkeypatch.setattr(LogisticRegression, "fit", counting)
    return counted


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CORAREC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_second_evaluation_on_the_same_data_fits_nothing(
    trained_run: Path, tmp_path: Path, fits: list[int]
) -> None:
    few, folder = BootstrapConfig(draws=10), tmp_path / "run"
    shutil.copytree(trained_run, folder)
    first = evaluate_run(load_run(folder), "valid", config=few)
    assert len(fits) == len(ReferenceConfig().inverse_penalties)
    assert evaluate_run(load_run(folder), "valid", config=few) == first
    evaluate_run(load_run(folder), "train", config=few)
    assert len(fits) == len(ReferenceConfig().inverse_penalties)


def test_what_was_kept_scores_the_same_bits(small_world: Dataset, fits: list[int]) -> None:
    target = small_world.pairs("test")
    fitted = references_of(small_world, FAST)
    again = references_of(small_world, FAST)
    assert len(fits) == 2
    assert again.inverse_penalty == fitted.inverse_penalty
    for name, scores in fitted.scores(target).items():
        np.testing.assert_array_equal(again.scores(target)[name], scores)


def test_another_config_or_another_dataset_is_fitted_anew(
    small_world: Dataset, fits: list[int], tmp_path: Path
) -> None:
    references_of(small_world, FAST)
    references_of(small_world, ReferenceConfig(inverse_penalties=(0.1,)))
    assert len(fits) == 3
    size = {"num_users": 61, "num_items": 50, "interactions_per_user": 20}
    references_of(
        prepare(
            PrepareConfig(
                source="synthetic",
                output=tmp_path / "other",
                split="published",
                source_options=size,
            )
        ),
        FAST,
    )
    assert len(fits) == 5


@pytest.mark.parametrize("damage", ["cut", "flipped", "other", "text"])
def test_a_file_that_is_not_as_it_was_written_is_not_trusted(
    small_world: Dataset, fits: list[int], cache: Path, damage: str
) -> None:
    references_of(small_world, FAST)
    (path,) = cache.rglob("*.safetensors")
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[:-9])
    elif damage == "flipped":
        content[-5] ^= 1
        path.write_bytes(content)
    elif damage == "text":
        path.write_text("{}")
    else:
        references_of(small_world, ReferenceConfig(inverse_penalties=(0.1,)))
        (other,) = set(cache.rglob("*.safetensors")) - {path}
        path.write_bytes(other.read_bytes())
    before = len(fits)
    references_of(small_world, FAST)
    assert len(fits) == before + 2
    references_of(small_world, FAST)
    assert len(fits) == before + 2  # it was written anew


def test_where_nothing_can_be_kept_nothing_breaks(
    small_world: Dataset, fits: list[int], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.write_text("a file where the folder would be")
    references_of(small_world, FAST)
    assert cache.read_text() == "a file where the folder would be"
    monkeypatch.setenv("CORAREC_CACHE", "off")
    references_of(small_world, FAST)
    assert len(fits) == 4


def test_several_writers_at_once_leave_one_whole_file(
    small_world: Dataset, fits: list[int], cache: Path
) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: references_of(small_world, FAST), range(4)))
    assert [path.suffix for path in cache.rglob("*") if path.is_file()] == [".safetensors"]
    before = len(fits)
    references_of(small_world, FAST)
    assert len(fits) == before


def test_the_files_longest_unused_are_removed(
    small_world: Dataset, fits: list[int], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_KEPT", 2)
    penalties = (0.1, 1.0, 10.0)
    configs = [ReferenceConfig(inverse_penalties=(penalty,)) for penalty in penalties]
    for age, config in ((300, configs[0]), (200, configs[1])):
        known = set(cache.rglob("*.safetensors"))
        references_of(small_world, config)
        (path,) = set(cache.rglob("*.safetensors")) - known
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    references_of(small_world, configs[0])  # used again, so the second is the older one now
    references_of(small_world, configs[2])
    assert len(list(cache.rglob("*.safetensors"))) == 2
    before = len(fits)
    references_of(small_world, configs[0])
    assert len(fits) == before
    references_of(small_world, configs[1])
    assert len(fits) == before + 1


def test_the_folder_is_named_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path
) -> None:
    assert cache_folder() == cache
    monkeypatch.delenv("CORAREC_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "corarec"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "corarec"

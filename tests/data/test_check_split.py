"""The real thing: our split of MovieLens-1M against CoLLM's pickles, in all rows."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from corarec.data import PrepareConfig, prepare


@pytest.fixture
def check_split() -> ModuleType:
    file = Path(__file__).parents[2] / "benchmarks/check_split.py"
    spec = importlib.util.spec_from_file_location("check_split", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_all_rows_equal_those_of_collm(shared: Path, check_split: ModuleType) -> None:
    result = check_split.compare(shared / "data/ml-1m", shared / "data/collm/ml-1m.zip")
    rows = result.pop("valid_small")
    assert rows == (5_200, 0)
    assert len(result) == 9
    assert set(result.values()) == {(51_623, 0)}


def test_a_difference_is_found(ml1m: Path, shared: Path, check_split: ModuleType) -> None:
    result = check_split.compare(ml1m, shared / "data/collm/ml-1m.zip")
    assert result["row number"] == (51_623, 51_623)
    assert result["valid_small"] == (5_200, 5_200)


def test_the_published_pickles_as_a_source(shared: Path, tmp_path: Path) -> None:
    ours = prepare(
        PrepareConfig(
            source="movielens",
            input=shared / "data/ml-1m",
            output=tmp_path / "ours",
            split="collm-ml1m",
        )
    )
    theirs = prepare(
        PrepareConfig(
            source="collm",
            input=shared / "data/collm/ml-1m.zip",
            output=tmp_path / "theirs",
            split="published",
        )
    )
    columns = ["user_id", "item_id", "timestamp", "label", "split", "warm"]
    assert theirs.interactions.select(columns).equals(ours.interactions.select(columns))
    assert theirs.titles == ours.titles
    assert theirs.interactions["rating"].null_count() == 51_623

"""The contract of every data source, as tests."""

from pathlib import Path
from typing import Any, ClassVar

import pytest

from corarec.data import DATA_SOURCES, Dataset, PrepareConfig, prepare
from corarec.errors import CorarecError


class SourceConformance:
    """What every source promises; a subclass names one, its options and how to make its input."""

    source: ClassVar[str]
    options: ClassVar[dict[str, Any]] = {}
    split: ClassVar[str] = "temporal"
    """A split rule that fits the input."""

    @staticmethod
    def make_input(folder: Path) -> Path | None:
        """Write a small input of several users and both labels; None for a source without one."""
        return None

    @pytest.fixture
    def config(self, tmp_path: Path) -> PrepareConfig:
        """Return how the input is prepared."""
        folder = tmp_path / "input"
        folder.mkdir()
        return PrepareConfig(
            source=self.source,
            input=self.make_input(folder),
            output=tmp_path / "dataset",
            split=self.split,
            source_options=self.options,
        )

    def test_every_part_has_both_labels_and_every_item_a_title(self, config: PrepareConfig) -> None:
        dataset = prepare(config)
        for part in ("train", "valid", "test"):
            assert set(dataset.labels(part)) == {0, 1}
        assert all(title.strip() for title in dataset.titles[1:])

    def test_the_same_input_gives_the_same_dataset(
        self, config: PrepareConfig, tmp_path: Path
    ) -> None:
        first = prepare(config)
        second = prepare(config.model_copy(update={"output": tmp_path / "again"}))
        assert first.fingerprint == second.fingerprint
        assert Dataset.load(tmp_path / "again").fingerprint == first.fingerprint

    def test_an_input_that_is_not_there_is_an_error_that_says_so(self, tmp_path: Path) -> None:
        source = DATA_SOURCES[self.source].parse(self.options, "the test")
        with pytest.raises(CorarecError):
            source.load(tmp_path / "nothing-here")

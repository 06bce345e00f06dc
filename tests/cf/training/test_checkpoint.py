from dataclasses import replace
from pathlib import Path

import pytest
import torch

from corarec.cf.data import FitData
from corarec.cf.factors.mf import MFConfig
from corarec.cf.training.checkpoint import Checkpointer, purpose_of
from corarec.errors import ArtifactError


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "fit.pt"
    writer = Checkpointer(path, "a fit", every_seconds=0)
    assert writer.read() is None
    writer.write_if_due(lambda: {"weight": torch.arange(3), "epoch": 7})
    state = Checkpointer(path, "a fit").read()
    assert state is not None
    assert (state["epoch"], state["weight"].tolist()) == (7, [0, 1, 2])
    writer.remove()
    assert list(tmp_path.iterdir()) == []


def test_it_writes_only_when_due(tmp_path: Path) -> None:
    Checkpointer(tmp_path / "fit.pt", "a fit", every_seconds=60).write_if_due(dict)
    Checkpointer(None, "").write_if_due(dict)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_of_another_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fit.pt"
    Checkpointer(path, "seed 1", every_seconds=0).write_if_due(dict)
    with pytest.raises(ArtifactError, match=r"fit\.pt belongs to a fit with other options"):
        Checkpointer(path, "seed 2").read()


def test_a_cut_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fit.pt"
    Checkpointer(path, "a fit", every_seconds=0).write_if_due(lambda: {"w": torch.zeros(100)})
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ArtifactError, match=r"cut off or damaged .* Delete .* to start afresh"):
        Checkpointer(path, "a fit").read()


def test_a_fit_without_a_file_writes_and_reads_nothing(
    checkerboard: FitData, tmp_path: Path
) -> None:
    config = MFConfig(embedding_size=4)
    assert Checkpointer.of(None, config, 0, checkerboard).read() is None
    here = Checkpointer.of(tmp_path / "fit.pt", config, 0, checkerboard)
    assert here.read() is None


def test_purpose_tells_options_seeds_and_data_apart(checkerboard: FitData) -> None:
    config = MFConfig(embedding_size=4)
    other_data = replace(checkerboard, train_labels=1 - checkerboard.train_labels)
    purposes = {
        purpose_of(config, 1, checkerboard),
        purpose_of(config, 2, checkerboard),
        purpose_of(MFConfig(embedding_size=5), 1, checkerboard),
        purpose_of(config, 1, other_data),
    }
    assert len(purposes) == 4
    assert purpose_of(MFConfig(embedding_size=4), 1, checkerboard) in purposes

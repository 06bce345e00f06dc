from pathlib import Path

import numpy as np
import pytest
import torch

from corarec.cf.data import FitData
from corarec.cf.report import EpochRecord
from corarec.cf.sequences.sasrec import SASRec, SASRecConfig
from corarec.cf.training.checkpoint import Checkpointer
from corarec.errors import ArtifactError
from corarec.types import Histories, Pairs

CONFIG = SASRecConfig(embedding_size=8, batch_size=64, max_length=6, max_epochs=6)


class Killed(Exception):  # noqa: N818
    """Stands for the end of the process."""


@pytest.fixture
def always_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Checkpointer.__init__, "__defaults__", (0.0,))


@pytest.mark.usefixtures("always_due")
def test_a_killed_fit_resumes_to_the_same_weights(checkerboard: FitData, tmp_path: Path) -> None:
    whole = SASRec(CONFIG)
    whole.fit(checkerboard, seed=3)

    def kill(record: EpochRecord) -> None:
        if record.epoch == 4:
            raise Killed

    path = tmp_path / "fit.pt"
    with pytest.raises(Killed):
        SASRec(CONFIG).fit(checkerboard, seed=3, checkpoint=path, on_epoch=kill)
    seen: list[int] = []
    resumed = SASRec(CONFIG)
    report = resumed.fit(
        checkerboard, seed=3, checkpoint=path, on_epoch=lambda record: seen.append(record.epoch)
    )
    assert seen == [4, 5, 6]
    for key, tensor in whole.tensors().items():
        assert torch.equal(resumed.tensors()[key], tensor), key
    assert report.best_epoch == (whole.report.best_epoch if whole.report else -1)
    assert not path.exists()


@pytest.mark.usefixtures("always_due")
def test_a_checkpoint_of_another_seed_is_refused(checkerboard: FitData, tmp_path: Path) -> None:
    def kill(record: EpochRecord) -> None:
        if record.epoch == 2:
            raise Killed

    path = tmp_path / "fit.pt"
    with pytest.raises(Killed):
        SASRec(CONFIG).fit(checkerboard, seed=3, checkpoint=path, on_epoch=kill)
    with pytest.raises(ArtifactError, match="another seed"):
        SASRec(CONFIG).fit(checkerboard, seed=4, checkpoint=path)


def test_the_user_vector_belongs_to_the_row(checkerboard: FitData) -> None:
    model = SASRec(CONFIG)
    model.fit(checkerboard, seed=0)
    histories = Histories.from_lists([[2, 4], [2, 4], [2, 5], [2, 4], []])
    pairs = Pairs(np.array([1, 1, 1, 9, 1]), np.array([6] * 5), histories)
    table = model.vector_table(pairs)
    assert len(table.users) == 3
    rows = table.user_rows
    assert rows[0] == rows[1] == rows[3]
    assert len({rows[0], rows[2], rows[4]}) == 3
    assert table.users[rows[4]].abs().sum() == 0
    assert model.score(pairs)[4] == 0


def test_only_the_last_items_count(checkerboard: FitData) -> None:
    model = SASRec(CONFIG)
    model.fit(checkerboard, seed=0)
    histories = Histories.from_lists([[9, *range(1, 7)], [11, *range(1, 7)]])
    assert len(model.vector_table(Pairs(np.array([1, 2]), np.array([6, 6]), histories)).users) == 1

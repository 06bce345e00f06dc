from pathlib import Path
from typing import Any

import pytest
import torch

from corarec.cf import CF_MODELS
from corarec.cf.data import FitData
from corarec.cf.factors.config import FactorsConfig
from corarec.cf.report import EpochRecord
from corarec.cf.training.checkpoint import Checkpointer
from corarec.cf.training.state import FitState


def test_a_step_takes_more_rows_where_an_epoch_would_take_too_many_steps() -> None:
    config = FactorsConfig(batch_size=10, most_steps=4)
    assert [config.rows_of_step(rows) for rows in (1, 40, 41, 4_000)] == [10, 10, 11, 1_000]


@pytest.mark.parametrize("name", ["mf", "mf-b", "binary-mf", "lightgcn"])
def test_an_epoch_has_so_many_steps_at_most(
    checkerboard: FitData, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    steps: list[float] = []
    step = FitState.step

    def counted(fit: FitState, loss: torch.Tensor) -> float:
        steps.append(step(fit, loss))
        return steps[-1]

    monkeypatch.setattr(FitState, "step", counted)
    options = {"embedding_size": 4, "max_epochs": 2, "batch_size": 1, "most_steps": 5}
    model = CF_MODELS[name]
    model(model.config_class.model_validate(options)).fit(checkerboard, seed=0)
    assert len(steps) <= 2 * 5


class KilledError(Exception):
    pass


@pytest.mark.parametrize("name", ["mf", "mf-b", "binary-mf", "lightgcn"])
def test_a_killed_fit_resumes_to_the_same_vectors(
    checkerboard: FitData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(Checkpointer.__init__, "__defaults__", (0.0,))
    kind = CF_MODELS[name]
    options: dict[str, Any] = {"embedding_size": 4, "max_epochs": 5, "batch_size": 64}
    config = kind.config_class.model_validate(options)
    whole, resumed = kind(config), kind(config)
    whole.fit(checkerboard, seed=3)

    def kill(record: EpochRecord) -> None:
        if record.epoch == 4:
            raise KilledError

    path, seen = tmp_path / "fit.pt", list[int]()
    with pytest.raises(KilledError):
        kind(config).fit(checkerboard, seed=3, checkpoint=path, on_epoch=kill)
    resumed.fit(checkerboard, seed=3, checkpoint=path, on_epoch=lambda r: seen.append(r.epoch))
    assert seen == [4, 5]
    for key, tensor in whole.tensors().items():
        assert torch.equal(resumed.tensors()[key], tensor), key
    assert not path.exists()

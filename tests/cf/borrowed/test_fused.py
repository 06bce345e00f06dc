from pathlib import Path

import numpy as np
import pytest
import torch

from corarec.cf.base import CFModel
from corarec.cf.borrowed.fused import Fused, FusedConfig
from corarec.cf.choice import CFChoice
from corarec.cf.data import FitData
from corarec.cf.factors.mf import MF, MFConfig
from corarec.cf.sequences.sasrec import SASRec, SASRecConfig
from corarec.errors import ArtifactError


@pytest.fixture
def components(checkerboard: FitData, tmp_path: Path) -> dict[str, CFModel]:
    models: dict[str, CFModel] = {
        "mf": MF(MFConfig(embedding_size=3, max_epochs=3)),
        "sasrec": SASRec(SASRecConfig(embedding_size=4, max_epochs=3)),
    }
    for name, model in models.items():
        model.fit(checkerboard, seed=0)
        model.save(tmp_path / name)
    return models


@pytest.fixture
def fused(components: dict[str, CFModel], checkerboard: FitData, tmp_path: Path) -> Fused:
    model = Fused(FusedConfig(components=tuple(tmp_path / name for name in components)))
    model.fit(checkerboard, seed=0)
    return model


def test_vectors_stand_side_by_side(
    fused: Fused, components: dict[str, CFModel], checkerboard: FitData
) -> None:
    pairs = checkerboard.valid
    rows = np.arange(len(pairs))
    halves = fused.vector_table(pairs).lookup(rows)
    parts = [model.vector_table(pairs).lookup(rows) for model in components.values()]
    assert fused.vector_size == 7
    for half in (0, 1):
        mf, sasrec = halves[half].split([3, 4], dim=1)
        for vectors, component in zip((mf, sasrec), parts, strict=True):
            scale = vectors.abs().sum() / component[half].abs().sum()
            torch.testing.assert_close(vectors, component[half] * scale)


def test_no_component_drowns_another(fused: Fused, checkerboard: FitData) -> None:
    table = fused.vector_table(checkerboard.train)
    for half in (table.users, table.items):
        for vectors in half.split([3, 4], dim=1):
            known = vectors[vectors.abs().sum(1) > 0]
            assert known.square().mean().item() == pytest.approx(1, rel=0.2)


def test_the_score_weighs_the_components(
    fused: Fused, components: dict[str, CFModel], checkerboard: FitData
) -> None:
    pairs = checkerboard.valid
    weights = fused.tensors()["weights"].numpy()
    scores = [model.score(pairs) for model in components.values()]
    expected = weights[0] * scores[0] + weights[1] * scores[1] + weights[2]
    np.testing.assert_allclose(fused.score(pairs), expected)


def test_a_saved_model_holds_its_components(
    fused: Fused, checkerboard: FitData, tmp_path: Path
) -> None:
    fused.save(tmp_path / "fused")
    for name in ("mf", "sasrec"):
        (tmp_path / name).rename(tmp_path / f"moved-{name}")
    loaded = Fused.load(tmp_path / "fused")
    assert np.array_equal(loaded.score(checkerboard.valid), fused.score(checkerboard.valid))


def test_components_are_fitted_along_the_way(
    fused: Fused, components: dict[str, CFModel], checkerboard: FitData, tmp_path: Path
) -> None:
    choices = tuple(
        CFChoice(model=name, options=model.config.model_dump())
        for name, model in components.items()
    )
    model = Fused(FusedConfig(components=choices))
    model.fit(checkerboard, seed=0, checkpoint=tmp_path / "fused.checkpoint.pt")
    assert np.array_equal(model.score(checkerboard.valid), fused.score(checkerboard.valid))
    model.save(tmp_path / "fused")
    loaded = Fused.load(tmp_path / "fused")
    assert np.array_equal(loaded.score(checkerboard.valid), fused.score(checkerboard.valid))
    assert not list(tmp_path.glob("*.checkpoint*"))


def test_an_unknown_component_is_refused_before_anything_is_fitted() -> None:
    with pytest.raises(ValueError, match="no CF model 'mg'; choose from mf, mf-b") as error:
        FusedConfig.model_validate({"components": [{"model": "mf"}, {"model": "mg"}]})
    assert "1 validation error" in str(error.value)


def test_a_component_of_another_fit_is_refused(
    fused: Fused, checkerboard: FitData, tmp_path: Path
) -> None:
    fused.save(tmp_path / "fused")
    other = MF(MFConfig(embedding_size=3, max_epochs=1))
    other.fit(checkerboard, seed=1)
    other.save(tmp_path / "fused" / "component-0")
    with pytest.raises(ArtifactError, match=r"component-0/.* belongs to another model"):
        Fused.load(tmp_path / "fused")


def test_a_missing_component_is_an_error(checkerboard: FitData, tmp_path: Path) -> None:
    model = Fused(FusedConfig(components=(tmp_path / "a", tmp_path / "b")))
    with pytest.raises(ArtifactError, match="does not exist"):
        model.fit(checkerboard, seed=0)


def test_one_component_is_not_enough(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 came, wanted are at least two models to join"):
        FusedConfig(components=(tmp_path,))

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file

from corarec.cf import base
from corarec.cf.base import CFModel
from corarec.cf.counting.rates import Rates, RatesConfig
from corarec.cf.data import FitData
from corarec.cf.factors.mf import MF, BiasedMF, MFConfig
from corarec.cf.identity import IDENTITY_FILE, REPORT_FILE, TENSOR_FILE
from corarec.cf.ridge.als import ALS, ALSConfig
from corarec.errors import ArtifactError, ConfigError
from corarec.ownership import MARKER
from corarec.types import FloatArray, Pairs


@pytest.fixture
def saved(checkerboard: FitData, tmp_path: Path) -> Path:
    model = MF(MFConfig(embedding_size=4, max_epochs=1))
    model.fit(checkerboard, seed=0)
    model.save(tmp_path / "mf")
    return tmp_path / "mf"


def test_a_saved_model_is_three_files_and_a_marker(saved: Path) -> None:
    files = {path.name for path in saved.iterdir()}
    assert files == {MARKER, IDENTITY_FILE, REPORT_FILE, TENSOR_FILE}
    report = json.loads((saved / REPORT_FILE).read_text())
    assert (report["seed"], report["epochs"], report["trained_until"]) == (0, 1, None)


def test_saving_again_replaces_the_folder(saved: Path) -> None:
    model = MF.load(saved)
    (saved / REPORT_FILE).unlink()
    model.save(saved)
    assert (saved / REPORT_FILE).exists()
    assert {path.name for path in saved.parent.iterdir()} == {"mf"}


def test_saving_over_somebody_s_notes_is_refused(saved: Path) -> None:
    (saved / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"did not write: notes\.txt"):
        MF.load(saved).save(saved)
    assert (saved / "notes.txt").read_text() == "mine"


def test_another_kind_of_model_is_refused(saved: Path) -> None:
    with pytest.raises(ArtifactError, match="holds a 'mf' CF model, but a 'mf-b' was asked for"):
        BiasedMF.load(saved)


def test_tensors_of_another_model_are_refused(saved: Path, checkerboard: FitData) -> None:
    rates = Rates(RatesConfig())
    rates.fit(checkerboard, seed=0)
    save_file({"counts": rates.tensors()["users"]}, saved / TENSOR_FILE)
    with pytest.raises(ArtifactError, match=r"model\.safetensors .* belongs to another model"):
        MF.load(saved)
    identity = json.loads((saved / IDENTITY_FILE).read_text())
    (saved / IDENTITY_FILE).write_text(json.dumps({**identity, "files": {}}))
    with pytest.raises(ArtifactError, match="no 'mf' checkpoint of the config beside it"):
        MF.load(saved)


def test_a_report_of_another_fit_is_refused(saved: Path) -> None:
    report = json.loads((saved / REPORT_FILE).read_text())
    (saved / REPORT_FILE).write_text(json.dumps({**report, "trained_until": 7}))
    with pytest.raises(ArtifactError, match=r"report\.json .* belongs to another model"):
        MF.load(saved)


def test_tensors_of_another_size_are_refused(saved: Path) -> None:
    identity = json.loads((saved / IDENTITY_FILE).read_text())
    identity["config"]["embedding_size"] = 5
    (saved / IDENTITY_FILE).write_text(json.dumps(identity))
    with pytest.raises(ArtifactError, match="vectors of 4 numbers, not 5"):
        MF.load(saved)


def test_a_config_of_another_version_is_refused(saved: Path) -> None:
    identity = json.loads((saved / IDENTITY_FILE).read_text())
    identity["config"]["invented"] = 1
    (saved / IDENTITY_FILE).write_text(json.dumps(identity))
    with pytest.raises(ArtifactError, match="does not fit this version of corarec"):
        MF.load(saved)


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="does not exist"):
        MF.load(tmp_path / "nowhere")


@pytest.mark.parametrize("model", [Rates(RatesConfig()), ALS(ALSConfig(max_epochs=2))])
def test_a_fit_scores_its_rows_some_at_a_time(
    model: CFModel, checkerboard: FitData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their vectors take a hundred times what rows take."""
    at_once = model.fit(checkerboard, seed=0)
    whole = type(model).score
    sizes: list[int] = []

    def counted(self: CFModel, pairs: Pairs) -> FloatArray:
        sizes.append(len(pairs))
        return whole(self, pairs)

    monkeypatch.setattr(base, "ROWS_AT_ONCE", 7)
    monkeypatch.setattr(type(model), "score", counted)
    in_pieces = model.fit(checkerboard, seed=0)
    assert in_pieces.train_auc == at_once.train_auc
    assert np.sum(np.array(sizes) == 7) >= len(checkerboard.train) // 7
    assert len(checkerboard.train) not in sizes

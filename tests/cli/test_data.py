import shutil
from pathlib import Path

import pytest

from corarec.cli.data import fit_cf
from corarec.errors import ConfigError


@pytest.mark.parametrize("place", ["run/cf", "run/other", "run/x/../cf", "link", "cf/.", "."])
def test_the_cf_model_of_a_run_is_not_fitted_anew(
    place: str,
    trained_run: Path,
    small_world_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    (run / "x").mkdir()
    (tmp_path / "link").symlink_to(run / "cf")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    monkeypatch.chdir({"cf/.": run, ".": run / "cf"}.get(place, tmp_path))
    with pytest.raises(ConfigError, match=r"/run is a run, whose CF model must stay .*--output"):
        fit_cf(small_world_path, "mf", Path(place))
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_folder_with_one_file_of_a_run_s_names_is_no_run(
    small_world_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text("mine: 1\n")
    options = ["max_epochs=1", "embedding_size=2"]
    fit_cf(small_world_path, "mf", tmp_path / "cf", option=options)
    assert (tmp_path / "cf").is_dir()
    assert (tmp_path / "config.yaml").read_text() == "mine: 1\n"

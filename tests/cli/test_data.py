import shutil
from pathlib import Path

import pytest

from corarec.cf import load_cf
from corarec.cli.data import fit_cf
from corarec.data import KnowledgePolicy
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


def test_a_cf_model_is_fitted_under_a_knowledge_policy(
    small_world_path: Path, tmp_path: Path
) -> None:
    options = ["rounds=5", "head=lr"]
    output = tmp_path / "cf"
    fit_cf(
        small_world_path, "statistics", output, knowledge="snapshot", period="60", option=options
    )
    report = load_cf(output).report
    assert report is not None
    assert report.knowledge == KnowledgePolicy(policy="snapshot", period=60)
    with pytest.raises(ConfigError, match="'mf' cannot honour the knowledge policy 'streaming'"):
        fit_cf(small_world_path, "mf", tmp_path / "mf", knowledge="streaming")
    with pytest.raises(ConfigError, match="period"):
        fit_cf(small_world_path, "statistics", tmp_path / "x", knowledge="snapshot", period="soon")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cf"]

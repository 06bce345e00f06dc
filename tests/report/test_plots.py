from pathlib import Path

import polars as pl
import pytest

from corarec.errors import ConfigError
from corarec.report.data import TrainingCurve
from corarec.report.figures import Figure, Palette, training_figures
from corarec.report.plots import write_plots

CURVE = TrainingCurve(name="CoRA", train_loss=[(1, 0.7), (2, 0.6)], valid={"../x/$": [(1, 0.5)]})


def test_every_chart_is_saved_twice_with_its_data(tmp_path: Path) -> None:
    empty = Figure("nothing", "Nothing", None, "There is nothing.")
    write_plots(tmp_path / "report", [*training_figures([CURVE], Palette()), empty])
    names = {path.name for path in (tmp_path / "report").iterdir()}
    stems = ("training-loss", "validation-.._x_")
    files = {f"{stem}.{ending}" for stem in stems for ending in ("svg", "png", "csv")}
    assert names == {".corarec.json"} | files
    data = pl.read_csv(tmp_path / "report" / "training-loss.csv")
    assert data.rows() == [("CoRA", 1.0, 0.7), ("CoRA", 2.0, 0.6)]


def test_a_folder_is_replaced_only_as_it_was_written(tmp_path: Path) -> None:
    folder = tmp_path / "report"
    write_plots(folder, training_figures([CURVE], Palette()))
    write_plots(folder, training_figures([CURVE.model_copy(update={"valid": {}})], Palette()))
    assert not list(folder.glob("validation*"))
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="files that corarec did not write: mine.txt"):
        write_plots(folder, [])
    assert (folder / "mine.txt").read_text() == "mine"
    assert (folder / "training-loss.svg").exists()

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from corarec.benchmark.extremes import explained_extremes, extreme_rows
from corarec.benchmark.results import read_scores
from corarec.benchmark.runs import evaluate_run
from corarec.evaluate import BootstrapConfig
from corarec.run_page import report_run
from corarec.runs import Run, load_run


@pytest.fixture(scope="module")
def run(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("extremes") / "run"
    shutil.copytree(trained_run, folder)
    opened = load_run(folder)
    evaluate_run(opened, "valid", config=BootstrapConfig(draws=10))
    return opened


def test_the_rows_nearest_to_their_labels_and_farthest_are_explained(run: Run) -> None:
    rows = explained_extremes(run, "valid", 3)
    assert [row.right for row in rows] == [True] * 3 + [False] * 3
    table = read_scores(run.folder, "valid")
    signed = np.sort(np.where(table.labels == 1, table.scores, -table.scores))
    found = [row.explanation.logit * (1 if row.label else -1) for row in rows]
    wanted = [*signed[::-1][:3], *signed[:3]]
    np.testing.assert_allclose(found, wanted, atol=1e-5)  # what came later is not seen


def test_rows_of_train_are_left_out(run: Run) -> None:
    assert explained_extremes(run, "train", 3) == []


def test_the_extremes_by_hand() -> None:
    labels, logits = np.array([1, 0, 1, 0, 1]), np.array([2.0, -3.0, -1.0, 0.5, 0.1])
    assert extreme_rows(labels, logits, 2).tolist() == [1, 0, 2, 3]
    assert extreme_rows(labels, logits, 9).tolist() == [1, 0, 2, 3]
    assert extreme_rows(labels[:1], logits[:1], 3).tolist() == []


def test_the_page_shows_them(run: Run) -> None:
    html = report_run(run, "valid").read_text("utf-8")
    rows = explained_extremes(run, "valid", 3)
    assert html.count("<h3>Right: ") == html.count("<h3>Wrong: ") == 3
    assert f"<h3>Right: User {rows[0].user}, " in html
    effects = pl.concat(row.explanation.effects for row in rows)
    shown = effects.filter(pl.col("without") != "adapter")
    assert f"{shown['effect_logit'][0]:+.2f}</td>" in html
    assert "the frozen model alone" not in html

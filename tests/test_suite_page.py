import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from corarec import cli
from corarec.benchmark.results import write_results
from corarec.benchmark.suite import Published
from corarec.benchmark.suite_files import write_suite_data
from corarec.benchmark.suite_result import RowFacts, RunFacts, SuiteResult
from corarec.errors import ArtifactError
from corarec.evaluate import BootstrapConfig, ResultTable, compare, evaluate
from corarec.suite_page import holds_suite, report_suite
from corarec.suite_views import VIEWS, suite_views, write_suite_views
from corarec.types import ScoreTable

FEW = BootstrapConfig(draws=20)
ODD = "<b>Text</b> & more"


def scores(seed: int, signal: float) -> ScoreTable:
    labels = np.random.default_rng(0).integers(0, 2, 200)
    noise = np.random.default_rng(seed).normal(size=200)
    ids = np.arange(200)
    warm = ids % 3 > 0
    return ScoreTable(ids % 20 + 1, ids % 17 + 1, labels, warm, signal * (labels - 0.5) + noise)


@pytest.fixture(scope="module")
def planner(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Stand in for the plan of a suite: CoRA with two seeds, a text system with one."""
    home = tmp_path_factory.mktemp("runs") / "toys"
    runs = {"CoRA": (1, 2), ODD: (3,)}
    folders: dict[str, dict[int, Path]] = {}
    for name, seeds in runs.items():
        for seed in seeds:
            folder = home / f"{len(folders)}-{seed}"
            folders.setdefault(name, {})[seed] = folder
            table = scores(seed, 1.5 if name == "CoRA" else 0.5)
            result = ResultTable(dataset="Toy", split="test", systems=[])
            write_results(folder, result, {"own": table, "Item rate": scores(9, 0.7)})
            lines = [{"step": 1, "train_loss": 0.7}, {"step": 2, "valid_auc": 0.6}]
            (folder / "metrics.jsonl").write_text(
                "".join(json.dumps(line) + "\n" for line in lines)
            )
    systems = {name: SimpleNamespace(beside=None, ensemble=None, has_runs=True) for name in runs}
    suite = SimpleNamespace(split="test", systems=systems)
    return SimpleNamespace(suite=suite, home=home, folders=lambda name: folders[name])


@pytest.fixture
def result() -> SuiteResult:
    cora, text = [scores(1, 1.5), scores(2, 1.5)], [scores(3, 0.5)]
    rows = {
        "CoRA": RowFacts(
            kind="recipe",
            seeds_wanted=3,
            runs=[
                RunFacts(seed=1, folder="x/a", recipe="0", seconds=60.0),
                RunFacts(seed=2, folder="x/b", recipe="0", seconds=120.0),
            ],
            published=[Published.model_validate({"AUC": 0.7044, "source": "a <paper>"})],
        ),
        ODD: RowFacts(
            kind="recipe", seeds_wanted=3, runs=[RunFacts(seed=3, folder="c", recipe="1")]
        ),
    }
    return SuiteResult(
        title="Toys & more",
        notes="A note.",
        suite="toys",
        dataset="Toy",
        split="test",
        metrics=("auc", "uauc"),
        systems=[evaluate(cora, "CoRA", config=FEW), evaluate(text, ODD, config=FEW)],
        comparisons=[compare(cora, text, ("CoRA", ODD), config=FEW)],
        rows=rows,
        missing=["CoRA: 2 of 3 seeds."],
        runs=3,
        hours=0.1,
        provenance={},
    )


def test_views_hold_scores_users_and_curves(planner: Any, result: SuiteResult) -> None:
    views = suite_views(planner, result)
    assert [view.name for view in views.scores] == ["CoRA", ODD]
    first, own = result.systems[0].whole.metrics["auc"], views.scores[0].auc
    assert first is not None
    assert own is not None
    assert abs(own - first.value) < 0.1  # the first seed, not the mean
    (pair,) = views.differences
    difference = result.comparisons[0].parts["all"].metrics["uauc"]
    assert difference is not None
    assert pair.mean == pytest.approx(difference.value, abs=1e-9)
    assert [curve.name for curve in views.training] == ["CoRA", "CoRA", ODD]
    assert views.training[0].valid == {"auc": [(2, 0.6)]}


def test_the_page_needs_nothing_but_the_folder_of_the_tables(
    planner: Any, result: SuiteResult, tmp_path: Path
) -> None:
    write_suite_data(result, tmp_path / "tables")
    assert write_suite_views(planner, result, tmp_path / "tables") == [tmp_path / "tables" / VIEWS]
    folder = tmp_path / "elsewhere"
    shutil.move(tmp_path / "tables", folder)
    assert holds_suite(folder)
    html = report_suite(folder).read_text("utf-8")
    for text in (
        "Toys &amp; more",
        "A note.",
        "Best AUC",
        "&lt;b&gt;Text&lt;/b&gt; &amp; more",
        "AUC (a &lt;paper&gt;)",
        "0.7044",
        "CoRA: 2 of 3 seeds.",
        "1  CoRA (2 min)",
        "User by user: CoRA",
    ):
        assert text in html
    assert "<b>Text" not in html
    assert {"cost.csv", "roc.png", "users-1.svg"} <= {
        path.name for path in (folder / "report").iterdir()
    }


def test_without_views_the_page_says_what_to_type(result: SuiteResult, tmp_path: Path) -> None:
    write_suite_data(result, tmp_path)
    html = report_suite(tmp_path).read_text("utf-8")
    assert "There is no views.json beside results.json" in html
    assert 'id="scores"' not in html


def test_the_command_tells_a_suite_from_a_run(
    result: SuiteResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    write_suite_data(result, tmp_path)
    monkeypatch.setattr(sys, "argv", ["corarec", "report", str(tmp_path), "--format", "json"])
    with pytest.raises(SystemExit, match="0"):
        cli.main()
    said = json.loads(capsys.readouterr().out)
    assert said["page"] == str(tmp_path / "report.html")
    assert said["plots"] == str(tmp_path / "report")
    monkeypatch.setattr(sys, "argv", ["corarec", "report", str(tmp_path), "--split", "valid"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 1
    assert "Leave --split out" in capsys.readouterr().err


def test_results_of_something_else_are_refused(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text('{"tasks": []}')
    with pytest.raises(ArtifactError, match="holds no results of a suite"):
        report_suite(tmp_path)
    (tmp_path / "results.json").write_text('{"suite": "toys"}')
    with pytest.raises(ArtifactError, match="does not hold results of this version"):
        report_suite(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
    (tmp_path / "config.yaml").write_text("")
    assert not holds_suite(tmp_path)

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from corarec.benchmark.benchmark import tasks_of
from corarec.benchmark.plan import Planner
from corarec.benchmark.suite_files import (
    COMPARISONS_SCHEMA,
    RESULTS_SCHEMA,
    comparisons_frame,
    results_frame,
    write_suite_data,
)
from corarec.benchmark.suite_reading import load_suite
from corarec.benchmark.suite_result import (
    SuiteResult,
    SuiteTables,
    suite_result,
    training_pairs,
    wanted_comparisons,
)
from corarec.errors import ArtifactError
from corarec.evaluate import BootstrapConfig
from corarec.report.layout import MISSING
from corarec.report.suite_tables import (
    cost_text,
    suite_latex,
    suite_markdown,
    suite_text,
    write_suite_tables,
)
from corarec.suite_views import suite_views
from corarec.train.metrics import read_metrics
from corarec.train.record import TRAINING

from .conftest import MakeSuite

FEW = BootstrapConfig(draws=50)
ODD = "100 % Text & _more_"
PUBLISHED = {"AUC": 0.7044, "UAUC": 0.6741, "source": "CoRA, Table 3"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for the runs that the tests of this file make once."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def overall(make_suite: MakeSuite, runs: Path) -> Path:
    """Return a suite of two rows and what stands beside one, of two seeds but for one run."""
    path = make_suite(
        {
            "CoRA": {},
            ODD: {"recipe": "tallrec.yaml", "published": PUBLISHED},
            "MF-b": {"beside": "CoRA | mf-b alone"},
        },
        name="overall.yaml",
        seeds=[0, 1],
        split="test",
        comparisons=[["CoRA", "Item rate"], ["CoRA", "MF-b"]],
        against=ODD,
    )
    planner = Planner(load_suite(path), runs, "overall")
    for task in tasks_of(planner.plan(), planner.suite):
        if task.job.folder.name != "cora-1":
            task.job.do(lambda record: None)
    return path


def result_of(path: Path, runs: Path) -> SuiteResult:
    planner = Planner(load_suite(path), runs, path.stem)
    return suite_result(planner, FEW, training_pairs(planner))


def test_an_ensemble_is_one_system_with_the_mean_of_the_logits(
    overall: Path, runs: Path, tmp_path: Path
) -> None:
    values = yaml.safe_load(overall.read_text())
    values["systems"] |= {"Joined": {"ensemble": ODD}, "Lacking": {"ensemble": "CoRA"}}
    values["comparisons"] = [["Joined", ODD]]
    overall.write_text(yaml.safe_dump(values))
    planner = Planner(load_suite(overall), runs, "overall")
    (joined,), members = (SuiteTables(planner).of(name) for name in ("Joined", ODD))
    assert len(members) == 2
    mean = (members[0].scores + members[1].scores) / 2
    np.testing.assert_allclose(joined.scores, mean)
    result = result_of(overall, runs)
    assert {one.name: one.seeds for one in result.systems}["Joined"] == 1
    assert result.rows["Joined"].kind == "ensemble"
    assert "not run yet: Lacking." in result.missing
    assert (result.comparisons[0].first, result.comparisons[0].first_seeds) == ("Joined", 1)
    assert "Joined" in suite_markdown(result)
    assert suite_views(planner, result).scores


def test_every_row_stands_in_every_table_and_says_how_many_seeds(overall: Path, runs: Path) -> None:
    result = result_of(overall, runs)
    seeds = {one.name: one.seeds for one in result.systems}
    assert seeds == {"CoRA": 1, ODD: 2, "MF-b": 1}
    assert next(one.name for one in result.references) == "Item rate"
    pairs = [(one.first, one.second) for one in result.comparisons]
    assert pairs == [("CoRA", "Item rate"), ("CoRA", "MF-b"), ("CoRA", ODD), ("MF-b", ODD)]
    assert result.missing == ["CoRA: 1 of 2 seeds.", "MF-b: 1 of 2 seeds."]
    text = suite_text(result)
    assert [row[:2] for row in text.systems] == [("CoRA", "1 of 2"), (ODD, "2"), ("MF-b", "1 of 2")]
    column = text.columns.index("AUC (CoRA, Table 3)")
    assert [row[column] for row in text.systems] == [MISSING, "0.7044", MISSING]
    assert len(text.references) == 3
    cost = cost_text(result)
    assert [row[0] for row in cost.systems] == ["CoRA", ODD]
    trained = cost.columns.index("trained parameters")
    assert int(cost.systems[1][trained].replace(",", "")) > 100
    assert result.rows[ODD].runs[0].versions["torch"]
    for run in result.rows[ODD].runs:
        logged = [
            line["valid_auc"] for line in read_metrics(runs / run.folder) if "valid_auc" in line
        ]
        assert run.validation == {"auc": max(logged)}
    mean = sum(run.validation["auc"] for run in result.rows[ODD].runs) / 2
    assert cost.systems[1][cost.columns.index("on validation")] == f"AUC {mean:.3f}"
    assert result.runs == 3


def test_the_files_say_the_same_by_a_clear_schema(
    overall: Path, runs: Path, tmp_path: Path
) -> None:
    result = result_of(overall, runs)
    written = [
        *write_suite_data(result, tmp_path / "x"),
        *write_suite_tables(result, tmp_path / "x"),
    ]
    assert sorted(path.name for path in written) == [
        "comparisons.parquet",
        "results.json",
        "results.md",
        "results.parquet",
        "results.tex",
    ]
    frame = pl.read_parquet(tmp_path / "x" / "results.parquet")
    assert dict(frame.schema) == RESULTS_SCHEMA
    assert len(frame) == (3 + 3) * 3 * 2  # rows and references, parts, metrics
    (auc,) = frame.filter(system=ODD, part="all", metric="auc").iter_rows(named=True)
    whole = next(one for one in result.systems if one.name == ODD).whole.metrics["auc"]
    assert whole is not None
    assert (auc["value"], auc["low"], auc["std"]) == (whole.value, whole.low, whole.spread)
    assert (auc["kind"], auc["seeds"], auc["seeds_wanted"]) == ("recipe", 2, 2)
    assert (auc["published"], auc["published_source"]) == (0.7044, "CoRA, Table 3")
    tests = pl.read_parquet(tmp_path / "x" / "comparisons.parquet")
    assert dict(tests.schema) == COMPARISONS_SCHEMA
    assert len(tests) == 4 * 3 * 2
    assert (tests["p_holm"] >= tests["p"]).all()
    assert set(tests["tests"]) == {4}
    read = SuiteResult.model_validate(json.loads((tmp_path / "x" / "results.json").read_text()))
    assert read == result
    tex = (tmp_path / "x" / "results.tex").read_text()
    assert r"100 \% Text \& \_more\_" in tex
    assert ODD not in tex
    assert tex.count(r"\begin{table}") == tex.count(r"\end{table}") == 3
    assert f"| {ODD} | 2 |" in (tmp_path / "x" / "results.md").read_text()


def test_a_suite_of_one_seed_and_no_comparisons(
    overall: Path, make_suite: MakeSuite, runs: Path
) -> None:
    use = {"suite": "overall.yaml", "row": ODD}
    path = make_suite({"Text": {"use": use}}, name="one.yaml", seeds=[1], split="test")
    result = result_of(path, runs)
    assert result.comparisons == []
    assert comparisons_frame(result).is_empty()
    assert results_frame(result)["std"].null_count() == len(results_frame(result))
    assert result.rows["Text"].runs[0].folder.startswith("overall/")
    assert "paired differences" not in suite_latex(result)
    assert "Difference" not in suite_markdown(result)


def test_nothing_is_tested_twice_or_against_itself(make_suite: MakeSuite) -> None:
    path = make_suite(
        {"CoRA": {}, "Text": {"recipe": "tallrec.yaml"}, "MF": {"beside": "CoRA | mf-b alone"}},
        comparisons=[["CoRA", "Item rate"], ["Item rate", "CoRA"], ["CoRA | mf-b alone", "Text"]],
        against=["CoRA", "CoRA | mf-b alone"],
    )
    assert wanted_comparisons(load_suite(path)) == [
        ("CoRA", "Item rate"),
        ("CoRA | mf-b alone", "Text"),
        ("Text", "CoRA"),
        ("MF", "CoRA"),
    ]


def test_another_view_of_the_same_runs_by_number_of_interactions(
    overall: Path, make_suite: MakeSuite, runs: Path
) -> None:
    path = make_suite({}, name="view.yaml", use="overall.yaml", parts={"interactions": [1, 12]})
    result = result_of(path, runs)
    assert list(result.systems[0].parts) == [
        "all",
        "warm",
        "cold",
        "frequent (>= 1)",
        "rare (< 1)",
        "frequent (>= 12)",
        "rare (< 12)",
    ]
    warm, frequent = (result.systems[0].parts[name] for name in ("warm", "frequent (>= 1)"))
    assert warm.metrics == frequent.metrics
    assert 0 < result.systems[0].parts["frequent (>= 12)"].rows < warm.rows


def test_rows_that_were_not_run_are_shown_as_such(
    overall: Path, make_suite: MakeSuite, runs: Path
) -> None:
    rows: dict[str, Any] = {"New": {}, "Text": {"use": {"suite": "overall.yaml", "row": ODD}}}
    path = make_suite(rows, name="new.yaml", split="test", comparisons=[["New", "Text"]])
    result = result_of(path, runs)
    assert result.missing == [
        "not run yet: New.",
        "not tested, for want of runs: New against Text.",
    ]
    assert suite_text(result).systems[0][:4] == ("New", "0 of 1", MISSING, MISSING)
    path = make_suite({"New": {}}, name="none.yaml")
    with pytest.raises(ArtifactError, match="No run of the suite was evaluated on valid"):
        result_of(path, runs)


def test_a_run_from_before_costs_were_recorded_has_empty_cells(
    overall: Path, runs: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(runs, copy)
    for record in copy.rglob(TRAINING):
        record.unlink()
    result = result_of(overall, copy)
    assert result.rows["CoRA"].runs[0].commit is None
    assert cost_text(result).systems[0][-1] == MISSING
    assert cost_text(result).systems[0][1] == MISSING
    folders = [copy / run.folder for row in result.rows.values() for run in row.runs]
    seconds = sum(read_metrics(folder)[-1]["seconds"] for folder in folders)
    assert result.hours == round(seconds / 3600, 2)

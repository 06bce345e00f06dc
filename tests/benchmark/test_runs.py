import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from corarec.benchmark.results import read_results, read_scores
from corarec.benchmark.runs import compare_runs, evaluate_run
from corarec.benchmark.test_log import count_test_evaluations
from corarec.errors import ArtifactError, ConfigError
from corarec.evaluate import BootstrapConfig
from corarec.run_page import report_run
from corarec.runs import Run, load_run

FEW = BootstrapConfig(draws=50)


@pytest.fixture
def run(trained_run: Path, tmp_path: Path) -> Run:
    shutil.copytree(trained_run, tmp_path / "run")
    return load_run(tmp_path / "run")


def test_a_run_is_evaluated_beside_its_cf_model_and_the_references(run: Run) -> None:
    result = evaluate_run(run, "valid", config=FEW)
    assert [system.name for system in result.systems] == ["cora", "mf-b alone"]
    assert len(result.references) == 3
    assert [c.second for c in result.comparisons] == ["mf-b alone"] + [
        reference.name for reference in result.references
    ]
    assert read_results(run.folder, "valid") == result
    kept = read_scores(run.folder, "valid")
    again = run.scorer.score(run.dataset.pairs("valid"))
    np.testing.assert_array_equal(kept.scores, again)
    np.testing.assert_array_equal(kept.labels, run.dataset.labels("valid"))


def test_rows_can_be_divided_by_the_number_of_interactions(run: Run) -> None:
    result = evaluate_run(run, "valid", min_interactions=8, config=FEW)
    frequent, rare = "frequent (>= 8)", "rare (< 8)"
    assert [list(c.parts) for c in result.comparisons] == [["all", frequent, rare]] * 4
    for evaluated in [*result.systems, *result.references]:
        assert list(evaluated.parts) == ["all", frequent, rare]
        rows = {part: evaluated.parts[part].rows for part in evaluated.parts}
        assert rows["all"] == rows[frequent] + rows[rare]
        assert rows[frequent] > 0 < rows[rare]


def test_every_input_is_made_once_however_much_is_measured(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run.cf is not None
    made: dict[str, list[int]] = {}
    places = [
        (run.recommender.encoder, "rows"),
        (run.cf, "vector_table"),
        (run.cf, "score"),
        (run.recommender, "logits"),
    ]
    for owner, name in places:
        monkeypatch.setattr(owner, name, counted(getattr(owner, name), made.setdefault(name, [])))
    metrics = ("auc", "uauc", "logloss", "accuracy", "accuracy@0.7", "ece")
    evaluate_run(run, "valid", metrics=metrics, min_interactions=8, config=FEW)
    rows = len(run.dataset.rows("valid"))
    assert rows > 64  # more than one batch
    assert {name: sum(sizes) for name, sizes in made.items()} == dict.fromkeys(made, rows)
    assert (len(made["vector_table"]), len(made["score"])) == (1, 1)


def counted(call: Callable[..., Any], sizes: list[int]) -> Callable[..., Any]:
    """Note of every call for how many pairs it was."""

    def calling(*pairs: Any, **batch: Any) -> Any:
        sizes.append(len(pairs[0] if pairs else batch["input_ids"]))
        return call(*pairs, **batch)

    return calling


def test_every_look_at_the_test_part_is_logged_and_no_other(run: Run) -> None:
    evaluate_run(run, "valid", config=FEW)
    assert count_test_evaluations(run.folder) == 0
    evaluate_run(run, "test", config=FEW)
    evaluate_run(run, "test", config=FEW)
    assert count_test_evaluations(run.folder) == 2


def test_a_system_differs_from_itself_by_nothing(run: Run) -> None:
    evaluate_run(run, "valid", config=FEW)
    _, comparison = compare_runs([run.folder], [run.folder], "valid", names=("a", "b"), config=FEW)
    difference = comparison.parts["all"].metrics["auc"]
    assert difference is not None
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)


def test_scores_that_are_not_there_are_named(run: Run) -> None:
    with pytest.raises(ArtifactError, match="has no scores on test"):
        read_scores(run.folder, "test")
    evaluate_run(run, "valid", config=FEW)
    with pytest.raises(ArtifactError, match="no scores of 'sasrec alone'"):
        read_scores(run.folder, "valid", "sasrec alone")
    with pytest.raises(ArtifactError, match="has no scores on test"):
        report_run(run, "test")


def test_the_page_shows_the_numbers_of_the_results(run: Run) -> None:
    result = evaluate_run(run, "test", config=FEW)
    page = report_run(run, "test").read_text("utf-8")
    auc = result.systems[0].whole.metrics["auc"]
    assert auc is not None
    assert f"{auc.value:.3f}" in page
    assert all(reference.name in page for reference in result.references)
    best = run.recommend(run.directory.most_active(1)[0], k=1)
    assert best["title"][0] in page
    assert json.loads((run.folder / "results" / "test.json").read_text())["split"] == "test"


def test_results_of_another_version_are_named(run: Run) -> None:
    (run.folder / "results").mkdir()
    (run.folder / "results" / "valid.json").write_text('{"dataset": "Toy", "shape": 3}')
    with pytest.raises(ArtifactError, match=r"valid\.json does not hold results .* split: Field"):
        read_results(run.folder, "valid")


def test_one_run_given_twice_is_no_second_seed(run: Run) -> None:
    twice = [run.folder, run.folder / ".." / run.folder.name]
    with pytest.raises(ConfigError, match="One run was given twice"):
        compare_runs(twice, [run.folder], "valid", names=("a", "b"), config=FEW)


def test_damaged_scores_are_named(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    for content in (b"", b"PAR1junk"):
        (tmp_path / "results" / "valid.parquet").write_bytes(content)
        with pytest.raises(ArtifactError, match=r"valid\.parquet does not hold scores"):
            compare_runs([tmp_path], [tmp_path], "valid", names=("a", "b"), config=FEW)


def test_a_column_that_holds_no_scores_is_none(run: Run) -> None:
    evaluate_run(run, "valid", config=FEW)
    path = run.folder / "results" / "valid.parquet"
    scores = pl.read_parquet(path)
    as_text = scores.with_columns(pl.col("cora").cast(pl.String))
    for frame, said in (
        (as_text, r"no scores of 'cora', only of cora, mf-b alone.*evaluate again"),
        (scores.select("user_id", "item_id", "label", "warm"), "of 'the run', only of nothing"),
    ):
        frame.write_parquet(path)
        with pytest.raises(ArtifactError, match=said):
            read_scores(run.folder, "valid")

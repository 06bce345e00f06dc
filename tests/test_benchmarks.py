"""Benchmarks score the test split, so what they log is held here; their figures are not."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from corarec.benchmark.test_log import read_test_evaluations
from corarec.cf import FitConfig, load_cf
from corarec.data import Dataset, KnowledgePolicy
from corarec.evaluate import auc, uauc
from corarec.files import read_json

ROOT = Path(__file__).parents[1]


def script(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_cf_model_scored_on_test_is_logged(
    small_world: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cf_ml1m = script("cf_ml1m")
    monkeypatch.setattr(cf_ml1m, "RESULT", tmp_path / "cf_ml1m.json")
    monkeypatch.setattr(cf_ml1m, "MODELS", {"rates": FitConfig(model="rates")})
    runs = [
        cf_ml1m.run(small_world, "rates", seed, tmp_path, Console(quiet=True)) for seed in (0, 1)
    ]
    looks = read_test_evaluations(tmp_path)
    assert [look.system for look in looks] == ["rates", "rates"]
    assert [look.metrics["auc"] for look in looks] == [run["all_auc"] for run in runs]
    scores = load_cf(tmp_path / "rates-seed0").score(small_world.pairs("test"))
    table = small_world.score_table("test", scores)
    cold = table.take(~table.warm)
    assert runs[0]["all_auc"] == auc(table.labels, table.scores)
    assert runs[0]["cold_uauc"] == uauc(cold.user_ids, cold.labels, cold.scores)


WRITING = [
    file
    for file in sorted((ROOT / "benchmarks").glob("*.py"))
    if "write_json(" in file.read_text("utf-8") or "main() -> int" in file.read_text("utf-8")
]


@pytest.mark.parametrize("file", WRITING, ids=lambda file: file.stem)
def test_every_written_result_says_what_made_it(file: Path) -> None:
    assert "provenance(" in file.read_text("utf-8")


def test_the_benchmarks_that_write_are_found() -> None:
    assert {"cf_ml1m", "probe_backbone"} <= {file.stem for file in WRITING}


@pytest.mark.slow
def test_cllm4rec_recovers_what_interactions_and_what_reviews_tell(tmp_path: Path) -> None:
    """Above popularity and above each of its halves, on a world that no setting was chosen on."""
    cllm4rec = script("cllm4rec")
    cllm4rec.make_world(tmp_path / "data", 7)
    other = cllm4rec.make_world(tmp_path / "other", 7 + cllm4rec.OTHER_WORLD)
    cllm4rec.make_language_model(tmp_path / "model", other.texts["text"].to_list())
    found = {}
    for name in cllm4rec.SYSTEMS:
        config = cllm4rec.recipe(name, tmp_path / "data", tmp_path / "model", 0)
        table = cllm4rec.measure(tmp_path / name, config)
        found[name] = table.systems[0].metrics
        found["popularity"] = table.references[0].metrics
    assert table.references[0].name == "Popularity"
    # The sum by which the system chooses its weights: a single metric of one world is noisy.
    metrics = ("capped_recall@20", "capped_recall@40", "ndcg@100")
    sums = {name: sum(of[metric].value for metric in metrics) for name, of in found.items()}
    whole = sums.pop("both sides")
    assert sorted(sums) == ["collaborative side alone", "content side alone", "popularity"]
    assert whole > max(sums.values())


def test_statistics_are_measured_head_by_head_and_looks_at_test_are_logged(
    small_world: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark = script("statistics_ml1m")
    monkeypatch.setattr(benchmark, "RESULT", tmp_path / "statistics_ml1m.json")
    known = small_world.under(KnowledgePolicy(policy="snapshot", period=30))
    families = benchmark.chosen("snapshot", early=False)
    assert "running" not in families
    assert "running" in benchmark.chosen("streaming", early=True)
    row = benchmark.row(known, families, "valid", "all")
    assert not read_test_evaluations(tmp_path)
    assert {"lr", "trees", "blend"} < set(row)
    benchmark.row(known, families, "test", "all")
    looks = read_test_evaluations(tmp_path)
    assert [look.system for look in looks] == ["all, blend"]
    benchmark.keep("valid", {"a": row})
    benchmark.keep("valid", {"b": row})
    assert set(read_json(tmp_path / "statistics_ml1m.json")["valid"]) == {"a", "b"}


def test_what_stands_among_the_results_of_much_data_is_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark = script("data_speed")
    result = tmp_path / "data_speed.json"
    monkeypatch.setattr(benchmark, "RESULT", result)
    command = ["data_speed.py", "prepare", "--rows", "3000", "--layouts", "dat", "--threads", "1"]
    monkeypatch.setattr("sys.argv", [*command, "--folder", str(tmp_path)])
    assert benchmark.main() == 0
    cell = read_json(result)["prepare"]["dat"]["3000"]
    assert (cell["ended"], cell["peak_megabytes"] > 50) == ("done", True)
    assert [path.name for path in tmp_path.iterdir()] == [result.name]
    before = result.stat().st_mtime_ns
    assert benchmark.main() == 0
    assert result.stat().st_mtime_ns == before


def test_the_ratings_of_much_data_are_distinct_pairs_in_the_order_of_users() -> None:
    table = script("data_speed").interactions(20_000, users=300, items=200)
    assert table.height == 20_000
    assert table.equals(table.sort("user", "item"))
    assert not table.select("user", "item").is_duplicated().any()
    counts = table["item"].value_counts(sort=True)["count"]
    assert counts[0] > 3 * counts[100]


@pytest.mark.slow
def test_preparing_takes_few_bytes_a_row(tmp_path: Path) -> None:
    benchmark = script("data_speed")
    peaks = {}
    for rows in (100_000, 1_600_000):
        source = tmp_path / str(rows)
        benchmark.write(benchmark.interactions(rows), source, "dat")
        command = ["prepare", "movielens", "--input", str(source), "--split", "temporal"]
        found = benchmark.measured([*command, "--output", str(tmp_path / "data")], 1, None)
        peaks[rows] = found["peak_megabytes"]
    # 230 bytes where pairs of texts were told apart in a table of their own.
    assert (peaks[1_600_000] - peaks[100_000]) / 1.5 < 150


@pytest.mark.slow
def test_each_model_on_much_data_is_fitted_under_a_policy_that_it_honours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark = script("data_speed")
    monkeypatch.setattr(benchmark, "RESULT", tmp_path / "data_speed.json")
    wanted = ["statistics", "mf-b"]
    command = ["data_speed.py", "models", "--rows", "20000", "--threads", "1", "--models", *wanted]
    monkeypatch.setattr("sys.argv", [*command, "--folder", str(tmp_path)])
    assert benchmark.main() == 0
    cells = read_json(tmp_path / "data_speed.json")["models"]
    assert [cells[name]["20000"]["ended"] for name in wanted] == ["done", "done"]
    assert cells["mf-b"]["20000"]["epochs"] == 1

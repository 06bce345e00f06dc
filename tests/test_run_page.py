import shutil
from pathlib import Path

import polars as pl
import pytest

from corarec.benchmark.ranking import rank_run
from corarec.benchmark.runs import evaluate_run
from corarec.errors import ArtifactError, ConfigError
from corarec.evaluate import BootstrapConfig, RankingConfig
from corarec.run_page import PREDICTIONS, SHOWN_ITEMS, report_run
from corarec.runs import Run, load_run

FEW = BootstrapConfig(draws=50)


@pytest.fixture(scope="module")
def run(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("page") / "run"
    shutil.copytree(trained_run, folder)
    return load_run(folder)


def test_a_run_without_results_has_no_page(run: Run) -> None:
    with pytest.raises(ArtifactError, match="no scores on valid"):
        report_run(run, "valid")
    assert not (run.folder / "report.html").exists()


def test_the_page_tells_what_was_run_and_what_came_of_it(run: Run) -> None:
    result = evaluate_run(run, "valid", config=FEW)
    html = report_run(run, "valid").read_text("utf-8")
    whole = result.systems[0].whole
    assert whole.metrics["auc"] is not None
    assert f"{whole.metrics['auc'].value:.3f}" in html
    assert f"{run.recommender.trainable_parameters():,} parameters" in html
    assert f"{run.dataset.num_users:,} users, {run.dataset.num_items:,} items" in html
    user = run.directory.most_active(1)[0]
    assert f"<h3>User {user}</h3>" in html
    best = run.recommend(user, k=SHOWN_ITEMS)["title"].to_list()
    places = [html.index(title) for title in best]
    assert len(places) == SHOWN_ITEMS
    assert "Ranking the whole catalogue" not in html
    assert 'id="weights"' in html
    assert "<title>block 1, self_attn.v_proj: " in html
    assert html.count('class="prompt"') == 2
    assert html.count('<td data-label="Enjoyed">') == 2 * PREDICTIONS
    assert "User by user: cora \N{MINUS SIGN} mf-b alone" in html
    plots = run.folder / "report"
    assert {"weights.svg", "weights.png", "weights.csv", "users-2.csv"} <= {
        path.name for path in plots.iterdir()
    }
    differences = pl.read_csv(plots / "users-1.csv")["difference"]
    one, other = (result.systems[n].whole.metrics["uauc"] for n in (0, 1))
    assert one is not None
    assert other is not None
    assert differences.mean() == pytest.approx(one.value - other.value, abs=1e-9)


def test_a_file_of_ones_own_among_the_plots_stops_the_page(run: Run) -> None:
    evaluate_run(run, "valid", config=FEW)
    report_run(run, "valid")
    mine = run.folder / "report" / "mine.txt"
    mine.write_text("mine")
    (run.folder / "report.html").write_text("before")
    with pytest.raises(ConfigError, match="files that corarec did not write: mine.txt"):
        report_run(run, "valid")
    assert (run.folder / "report.html").read_text() == "before"
    mine.unlink()


def test_a_ranking_that_was_measured_is_on_the_page(run: Run) -> None:
    evaluate_run(run, "valid", config=FEW)
    config = RankingConfig(cutoffs=(5,))
    ranking = rank_run(run, "valid", candidates=8, config=config, bootstrap=FEW)
    html = report_run(run, "valid").read_text("utf-8")
    assert "Ranking the whole catalogue" in html
    mrr = ranking.systems[0].metrics["mrr"]
    assert f'<td data-label="cora">{mrr.value:.3f}<small>[{mrr.low:.3f}, {mrr.high:.3f}]' in html


def test_a_link_in_place_of_the_page_is_never_followed(run: Run, tmp_path: Path) -> None:
    evaluate_run(run, "valid", config=FEW)
    (tmp_path / "mine.txt").write_text("mine")
    page = run.folder / "report.html"
    page.unlink(missing_ok=True)
    page.symlink_to(tmp_path / "mine.txt")
    with pytest.raises(ConfigError, match="is a link, and what it leads to may be yours"):
        report_run(run, "valid")
    page.unlink()
    assert (tmp_path / "mine.txt").read_text() == "mine"

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def results_page() -> Any:
    return script("results_page")


def test_the_results_page_is_what_the_result_files_say(results_page: Any) -> None:
    assert (ROOT / "docs" / "results.md").read_text("utf-8") == results_page.page()


def test_cllm4rec_is_above_its_halves_as_the_page_says() -> None:
    metrics = result("cllm4rec")["metrics"]
    others = ("popularity", "collaborative side alone", "content side alone")
    not_above = []
    for metric in ("capped_recall@20", "capped_recall@40", "ndcg@100"):
        whole = metrics["both sides"][metric]
        for other in others:
            assert sum(whole) > sum(metrics[other][metric])
            worlds = zip(whole, metrics[other][metric], strict=True)
            not_above += [(metric, other) for first, second in worlds if first <= second]
        assert sum(metrics["content side alone"][metric]) < sum(metrics["popularity"][metric])
    assert not_above == [("ndcg@100", "collaborative side alone")]


def test_joined_orders_are_above_their_parts_where_the_readme_says_so(results_page: Any) -> None:
    assert "EASE joined with itself on the last likes is significantly above the best" in words(
        ROOT / "README.md"
    )
    table = result("ranking_ml1m_leave_last_out")
    pairs = [
        results_page.RankingComparison.model_validate(pair) for pair in table["comparisons"]["all"]
    ]
    corrected = results_page.ranking_p_values(pairs, "ndcg@10")
    joined = [place for place, pair in enumerate(pairs) if pair.first == "ease, joined"]
    assert len(joined) == 3  # against the best of its parts, EASE and popularity
    for place in joined:
        assert pairs[place].metrics["ndcg@10"].value > 0
        assert corrected[place].value < 0.05
    for groups in result("ranking_ml1m")["orders"].values():
        assert {group["chosen"] for group in groups.values()} == {"popularity"}


def test_the_order_differs_from_the_paper_where_the_page_says_so(results_page: Any) -> None:
    measured = results_page.Measured("overall")
    knowing_cf = [
        f"{kind}-{model}" for kind in ("CoLLM", "CoRA") for model in ("MF", "LightGCN", "SASRec")
    ]
    assert measured.validation("TALLRec") < min(map(measured.validation, knowing_cf))
    assert measured.test("TALLRec") < min(map(measured.test, knowing_cf))
    assert measured.validation("CoRA-LightGCN") > measured.validation("CoRA-SASRec")
    assert measured.test("CoRA-LightGCN") < measured.test("CoRA-SASRec")
    assert measured.test("CoRA-LightGCN", "cold") < measured.test("CoRA-SASRec", "cold")


def test_readme_claims_over_cf_models_what_the_corrected_tests_say(results_page: Any) -> None:
    claims = results_page.Claims(results_page.results_of(result("study-ml-1m-test")))
    clear = {
        metric: [n for n, pair in results_page.OWN.items() if claims.verdict(*pair, metric) > 0]
        for metric in ("auc", "uauc")
    }
    others = [name for name in results_page.OWN if name not in clear["auc"]]
    first, second, third = clear["auc"]
    (only,) = clear["uauc"]
    assert (
        f"significantly so over {first}, {second} and {third}, not over {' and '.join(others)}; in "
        f"UAUC it is so over {only} only."
    ) in words(ROOT / "README.md")
    for pair in results_page.OWN.values():
        (tested,) = [c for c in claims.results.comparisons if (c.first, c.second) == pair]
        assert tested.parts["all"].metrics["auc"].value > 0
        gains = (
            tested.parts["cold"].metrics["auc"].value - tested.parts["warm"].metrics["auc"].value
        )
        assert (gains > 0.05) == (pair[0] in ("CoRA-MF", "CoRA-LightGCN"))


def test_readme_claims_over_statistics_on_new_items_and_over_als_what_the_tests_say(
    results_page: Any,
) -> None:
    readme = words(ROOT / "README.md")
    statistics = results_page.claims_of("statistics")
    assert "significantly above that regression in AUC and is not told apart from" in readme
    regression = "Logistic regression, user + item"
    assert statistics.verdict("CoRA, residual", regression, "auc") == 1
    for metric in ("auc", "uauc"):
        assert statistics.verdict("CoRA, residual", "Trees and regression", metric) == 0
    assert "On new items CoRA over ALS is, over three seeds, significantly above ALS" in readme
    fresh = results_page.claims_of("new-items")
    for metric in ("auc", "uauc"):
        assert fresh.verdict("CoRA-ALS", "ALS", metric) == 1
        assert fresh.verdict("CoRA-ALS", "CoRA-ALS, random weights", metric) == 1
    assert fresh.verdict("CoRA-ALS", "Text only", "auc") == 1
    assert fresh.verdict("CoRA-ALS", "Text only", "uauc") == 0
    assert "over three seeds, the AUC of CoRA is significantly above that of ALS, too" in readme
    assert results_page.claims_of("overall").verdict("CoRA-ALS", "ALS", "auc") == 1


def test_what_was_not_compared_is_said_to_be_so(results_page: Any) -> None:
    assert results_page.Claims(None).said("One", "Two") == "not yet compared with Two"


def test_the_prose_of_the_results_says_what_the_corrected_tests_say(results_page: Any) -> None:
    claims = results_page.Claims(results_page.results_of(result("study-ml-1m-test")))
    regression = "Logistic regression, user + item"
    against = {c.first: c.second for c in claims.results.comparisons if c.second == regression}
    assert len(against) == 7
    for metric in ("auc", "uauc"):
        below = [name for name in against if claims.verdict(name, regression, metric) < 0]
        assert below == (["CoRA-SASRec"] if metric == "auc" else [])
        assert not any(claims.verdict(name, regression, metric) > 0 for name in against)
    fresh = ("CoRA-MF-b", "CoRA-MF-b, random weights")
    parts = ("all", "warm", "cold")
    assert [claims.verdict(*fresh, "auc", part) for part in parts] == [1, 1, 0]
    assert [claims.verdict(*fresh, "uauc", part) for part in parts] == [0, 0, 0]
    shuffled = {name: (f"CoRA-{name}", f"CoRA-{name}, shuffled users") for name in results_page.OWN}
    del shuffled["ALS"]
    warm = [name for name, pair in shuffled.items() if claims.verdict(*pair, "auc", "warm")]
    assert warm == ["MF", "MF-b"]
    assert not any(claims.verdict(*pair, "uauc", p) for pair in shuffled.values() for p in parts)
    assert claims.verdict("CoRA-LightGCN + rates", "CoRA-LightGCN", "auc") == 1
    text = ("Text only", "Text only, random weights")
    assert [claims.verdict(*text, "auc", part) for part in parts] == [1, 1, 1]
    assert claims.verdict("Text only", "Text only, without votes", "auc") == 1
    assert claims.verdict("Text only, without votes", "Text only, random weights", "auc") == 1
    fused = "CoRA-LightGCN + rates"
    assert claims.verdict(fused, f"{fused} | fused alone", "auc") == 0


def test_the_prose_of_the_made_up_worlds_says_what_the_corrected_tests_say(
    results_page: Any,
) -> None:
    found = {}
    for world in ("both", "text", "cf"):
        claims = results_page.Claims(
            results_page.results_of(result(f"study-synthetic-{world}-test"))
        )
        for rival in ("CoRA | als alone", "Text only"):
            for part in ("all", "warm", "cold"):
                for metric in ("auc", "uauc"):
                    key = world, rival, part, metric
                    found[key] = claims.verdict("CoRA", rival, metric, part)
    for metric in ("auc", "uauc"):
        assert found["both", "CoRA | als alone", "all", metric] == 1
        assert found["both", "Text only", "all", metric] == 1
        assert found["both", "CoRA | als alone", "warm", metric] == 0
        assert found["both", "Text only", "cold", metric] == 0
    of_metrics = [
        (found["text", "Text only", "all", metric], found["cf", "CoRA | als alone", "all", metric])
        for metric in ("auc", "uauc")
    ]
    assert of_metrics == [(0, 1), (1, 0)]


def test_figures_without_a_commit_are_said_to_have_none(
    results_page: Any, monkeypatch: Any
) -> None:
    known = {"commit": "abc1234", "versions": {"torch": "9.9"}, "recipes": {}}
    speed = result("evaluate_speed") | {"provenance": known}
    read = results_page.read
    monkeypatch.setattr(
        results_page, "read", lambda file: speed if file == "evaluate_speed.json" else read(file)
    )
    page = results_page.page()
    assert "Made at commit abc1234 with torch 9.9." in page
    assert "Commit not recorded." in page


def test_what_the_command_writes_can_be_shown(results_page: Any, monkeypatch: Any) -> None:
    study = result("study-ml-1m-test")
    common = {key: study[key] for key in ("dataset", "split", "systems", "references")}
    published = [{"source": "CoRA, Table 3", "metrics": {"auc": 0.7361}}]
    rows = {"CoRA-MF": {"kind": "recipe", "seeds_wanted": 3, "published": published}}
    made = {"commit": "abc1234", "versions": {"torch": "9.9"}, "recipes": {}}
    written = common | {
        "suite": "mine",
        "title": "My suite",
        "metrics": ["auc", "uauc"],
        "rows": rows,
        "runs": 3,
        "hours": 1.5,
        "provenance": made,
    }
    found = {"suite-mine.json": written}
    monkeypatch.setattr(results_page, "read", found.get)
    text = results_page.suite("mine")
    assert "corarec benchmark benchmarks/suites/mine.yaml" in text
    assert "| AUC (CoRA, Table 3) |" in text
    assert "| CoRA-MF | 3 | 0.729 ± 0.003 | [0.708, 0.750] | 0.7361 |" in text
    assert "3 runs, 1.5 hours of training and validation in all. Made at commit abc1234" in text
    assert "# My suite" not in text


def test_the_form_of_the_prompt_is_said_to_be_known_to_the_bundled_model() -> None:
    said = "pretrained on questions in the form of the recommendation prompt"
    assert said in words(ROOT / "docs" / "results.md")


def test_the_model_card_says_what_was_measured() -> None:
    card = (ROOT / "src" / "corarec" / "backbone" / "bundled" / "README.md").read_text("utf-8")
    bundled, without_votes = (
        result("probe_backbone_bundled"),
        result("probe_backbone_without_votes"),
    )
    for source, bits in bundled["bits_per_byte"].items():
        assert row(source, bits["model"], bits["unigram"], bits["zlib"], digits=2) in card
    probes = {
        **bundled["probes"],
        "the same recipe without votes": without_votes["probes"]["language model"],
    }
    del probes["counts"]
    for reader, probe in probes.items():
        assert row(reader, probe["genre_auc"], probe["rate_spearman"]) in card
    study = result("study-ml-1m-test")
    aucs = {
        of["name"]: [of["parts"][part]["metrics"]["auc"]["value"] for part in ("all", "cold")]
        for of in [*study["systems"], *study["references"]]
    }
    assert row("these", *aucs["Text only"]) in card
    assert row("the same recipe without votes", *aucs["Text only, without votes"]) in card
    assert row("random", *aucs["Text only, random weights"]) in card
    everything, cold = aucs["Item rate"]
    assert f"has {everything:.3f} and {cold:.3f}" in card


def script(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def words(file: Path) -> str:
    """Return a text in which a line break is a space."""
    return " ".join(file.read_text("utf-8").split())


def result(name: str) -> Any:
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())


def row(name: str, *values: float, digits: int = 3) -> str:
    return f"| {name} | {' | '.join(f'{value:.{digits}f}' for value in values)} |"


def test_ways_that_older_results_lack_have_no_column(results_page: Any) -> None:
    ways = {"alone": [0.7, 0.8], "generator": [0.6], "cora": [0.9]}
    references = {"Item rate": 0.5}
    old = results_page.generator_only({"models": {"als": ways}, "references": references})
    assert old.startswith(
        "| CF model | alone | generator without text | CoRA |\n|---|---:|---:|---:|"
    )
    assert "| als | 0.750 | 0.600 | 0.900 |" in old
    models = {"als": ways | {"regression": [0.65]}}
    new = results_page.generator_only({"models": models, "references": references})
    assert "| als | 0.750 | 0.650 | 0.600 | 0.900 |" in new

import importlib.util
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def test_the_results_page_is_what_the_result_files_say() -> None:
    spec = importlib.util.spec_from_file_location(
        "results_page", ROOT / "benchmarks" / "results_page.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "results.md").read_text("utf-8") == module.page()


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
        of["name"]: [of["parts"][part]["auc"]["value"] for part in ("all", "cold")]
        for of in [*study["systems"], *study["references"]]
    }
    assert row("these", *aucs["Text only"]) in card
    assert row("the same recipe without votes", *aucs["Text only, without votes"]) in card
    assert row("random", *aucs["Text only, random weights"]) in card
    everything, cold = aucs["Item rate"]
    assert f"has {everything:.3f} and {cold:.3f}" in card


def result(name: str) -> Any:
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())


def row(name: str, *values: float, digits: int = 3) -> str:
    return f"| {name} | {' | '.join(f'{value:.{digits}f}' for value in values)} |"

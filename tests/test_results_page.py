import importlib.util
from pathlib import Path

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

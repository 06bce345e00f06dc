import importlib.util
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_says_what_the_benchmarks_measured() -> None:
    spec = importlib.util.spec_from_file_location("page", DOCS / "performance_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = (DOCS / "performance.md").read_text("utf-8")
    assert text == module.page()
    assert text.count("| shared keys and values |") == text.count("| whole prompts |") > 0

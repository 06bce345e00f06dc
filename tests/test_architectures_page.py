import importlib.util
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_of_the_architectures_says_what_the_sweep_found() -> None:
    spec = importlib.util.spec_from_file_location("page", DOCS / "architectures_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = (DOCS / "architectures.md").read_text("utf-8")
    assert text == module.page()
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert any(line.startswith("| llama | q k v o gate up down | 4 of 4 |") for line in rows)
    assert any(line.startswith("| bart | an encoder with a decoder |") for line in rows)

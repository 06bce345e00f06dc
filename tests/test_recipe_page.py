import importlib.util
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def test_the_recipe_page_says_what_the_configs_say() -> None:
    spec = importlib.util.spec_from_file_location("recipe_page", DOCS / "recipe_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (DOCS / "recipe.md").read_text("utf-8")
    assert page == module.page()
    unexplained = [line for line in page.splitlines() if line.endswith("|  |")]
    assert unexplained == []

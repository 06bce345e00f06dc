"""Commands and blocks of Python in docs/ run in their order, on tiny data; the README's own do."""

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.cli.conftest import corarec
from tests.test_readme import make_ml1m

from corarec.data import Dataset
from corarec.serve.opening import open_store, store_of
from corarec.serve.writes import Feedback, NewEvent, PutItem

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
FAST = ("data.md", "evaluation.md", "explaining.md", "files.md", "live.md", "report.md")
SLOW = ("workers.md",)
ELSEWHERE = {
    "backbone.md": "tests/pretrain/test_pretrain.py",
    "benchmark.md": "tests/cli/test_benchmarking.py",
    "general-ability.md": "tests/test_readme.py",
    "results.md": "tests/test_results_page.py",
    "serving.md": "tests/serve/test_docs.py",
    "training.md": "tests/test_readme.py",
    "tuning.md": "tests/test_readme.py",
}
"""Pages whose commands train for hours or fetch something, and what runs such commands."""
NOT_RUN = {
    r"corarec compare": "it needs runs of several seeds; tests/test_readme.py trains them",
    r"corarec report runs/overall": "it needs a suite's tables; tests/cli/test_benchmarking.py",
    r".*--ray HOST": "it needs a cluster; tests/workers/test_cluster.py starts one",
}
STAND_INS = {
    "--workers 8": "--workers 2",
    "3002": "1",
    "1193": "3",
    '"318"': '"3"',
}
"""What is written on a page, and what the tiny world has."""


def blocks(page: str) -> list[tuple[str, str]]:
    """Return the language and the text of each block that is to be typed."""
    text = re.sub(r" *\\\n *", " ", (DOCS / page).read_text("utf-8"))
    return re.findall(r"```(sh|python)\n(.*?)```", text, re.DOTALL)


@pytest.fixture
def workplace(
    trained_run: Path,
    small_world: Dataset,
    small_world_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str], str]:
    """Make the folder in which pages are typed; return what puts its names in place."""
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    shutil.copytree(small_world_path, "data/ml-1m")
    shutil.copytree(trained_run, "runs/cora-mf-b")
    pairs = pl.DataFrame({"user": ["1", "2", "1"], "item": ["3", "3", "4"]})
    pairs.write_csv("in.csv")
    pairs.write_parquet("in.parquet")
    with_title = {"Heat (1995)": str(small_world.items["title"][1])}

    def here(text: str) -> str:
        for written, there in (STAND_INS | with_title).items():
            text = text.replace(written, there)
        return text

    return here


def told() -> None:
    """Let the service of the run be told something."""
    store = open_store(store_of(Path("runs/cora-mf-b")))
    store.write([PutItem("new-1", "Rivers of Silver (2025)", {}, 10)])
    events = [NewEvent("zoe", item, "like", 1_700_000_000 + n) for n, item in enumerate("345")]
    store.write([Feedback(events, overwrite=False)])
    store.close()


def run_page(page: str, here: Callable[[str], str], capsys: Any) -> int:
    """Type a page; return how much of it ran."""
    ran = 0
    given: dict[str, Any] = {}
    for language, block in blocks(page):
        if language == "python":
            exec(compile(here(block), page, "exec"), given)
            ran += 1
            continue
        for line in block.splitlines():
            command = line.partition(" #")[0].strip()
            if not command or any(re.match(pattern, command) for pattern in NOT_RUN):
                continue
            program, *words = shlex.split(here(command))
            assert program == "corarec", f"{page}: how is {command} to be run?"
            assert corarec(*words) == 0, (page, command, capsys.readouterr().err)
            ran += 1
    return ran


@pytest.mark.parametrize("page", FAST)
def test_a_page_can_be_typed(page: str, workplace: Callable[[str], str], capsys: Any) -> None:
    if page == "data.md":
        shutil.rmtree("data/ml-1m")
        make_ml1m(Path("ml-1m"))
    if page == "report.md":
        assert corarec("evaluate", "runs/cora-mf-b", "--split", "test") == 0
    if page == "live.md":
        told()
    assert run_page(page, workplace, capsys) > 0
    if page == "live.md":
        assert pl.read_parquet("events.parquet").height == 3
        assert Path("data/ml-1m-2/card.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("page", SLOW)
def test_a_page_with_processes_can_be_typed(
    page: str, workplace: Callable[[str], str], capsys: Any
) -> None:
    assert run_page(page, workplace, capsys) > 0


def test_every_page_with_commands_is_run_somewhere() -> None:
    with_commands = {path.name for path in DOCS.glob("*.md") if blocks(path.name)}
    assert with_commands == {*FAST, *SLOW, *ELSEWHERE}
    for place in ELSEWHERE.values():
        assert (ROOT / place).is_file(), place


def test_every_file_of_the_project_that_a_page_names_is_there() -> None:
    named = {
        name
        for page in [ROOT / "README.md", *DOCS.glob("*.md")]
        for name in re.findall(
            r"(?<![\w/.-])((?:benchmarks|recipes|deploy|tests)/[\w./-]+\.(?:py|ya?ml|sh|safetensors|jsonl?))",
            page.read_text("utf-8"),
        )
    }
    assert len(named) > 30
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_what_is_not_run_is_on_a_page() -> None:
    typed = [
        line
        for page in (*FAST, *SLOW)
        for _, block in blocks(page)
        for line in [*block.splitlines()]
    ]
    for pattern in NOT_RUN:
        assert any(re.match(pattern, line) for line in typed), pattern

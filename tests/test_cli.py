import re
import shlex
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import typer
import yaml

from corarec import cli
from corarec.data import Synthetic, synthetic_world

ROOT = Path(__file__).parents[1]


def corarec(*arguments: str | Path) -> int:
    """Run the command line in this process and return its exit status."""
    before, sys.argv = sys.argv, ["corarec", *map(str, arguments)]
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv = before
    return 0


@pytest.fixture(autouse=True)
def wide_console(monkeypatch: Any) -> None:
    monkeypatch.setattr(cli.console, "width", 200, raising=False)
    monkeypatch.setattr(cli.console, "_width", 200)


def test_every_verb_from_interactions_to_a_page(
    tmp_path: Path, recipe: dict[str, Any], capsys: Any
) -> None:
    data, cf, run = tmp_path / "data", tmp_path / "cf", tmp_path / "run"
    size = ["num_users=60", "num_items=50", "interactions_per_user=20"]
    options = [part for knob in size for part in ("-o", knob)]
    split = ["--split", "published"]
    assert corarec("prepare", "synthetic", "--output", data, *split, *options) == 0
    fit = ["-o", "max_epochs=3", "-o", "embedding_size=4"]
    assert corarec("fit-cf", data, "--model", "mf-b", "--output", cf, *fit) == 0
    (tmp_path / "r.yaml").write_text(
        yaml.safe_dump({**recipe, "data": str(data), "cf": {"path": str(cf)}})
    )
    assert corarec("doctor", tmp_path / "r.yaml") == 0
    assert corarec("train", tmp_path / "r.yaml", "--output", run, "--set", "train.steps=3") == 0
    capsys.readouterr()
    assert corarec("evaluate", run, "--split", "test", "--draws", "50") == 0
    table = capsys.readouterr().out
    assert "cora" in table
    assert "mf-b alone" in table
    assert "Item rate" in table
    rank = ["--candidates", "5", "--users", "4", "--draws", "50", "--split", "test"]
    assert corarec("evaluate-ranking", run, *rank) == 0
    assert "NDCG@10" in capsys.readouterr().out
    pair = ["--first", str(run), "--second", str(run), "--split", "test", "--draws", "50"]
    assert corarec("compare", *pair, "--against", "mf-b alone") == 0
    assert corarec("report", run, "--split", "test") == 0
    assert "<html" in (run / "report.html").read_text()
    pairs = tmp_path / "pairs.parquet"
    pl.DataFrame({"user": ["1", "2"], "item": ["3", "4"]}).write_parquet(pairs)
    assert corarec("score", run, "--pairs", pairs, "--output", tmp_path / "scored.parquet") == 0
    assert pl.read_parquet(tmp_path / "scored.parquet")["probability"].is_between(0, 1).all()
    capsys.readouterr()
    assert corarec("recommend", run, "--user", "7", "-k", "3") == 0
    assert len(capsys.readouterr().out.strip().splitlines()) == 3
    assert corarec("recommend", run, "--user", "7", "--title", "The Midnight Heist (1994)") == 0
    assert "%  The Midnight Heist (1994)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "none.yaml", "--output", "x"], "There is no recipe at none.yaml"),
        (["evaluate", "nowhere"], "nowhere is no run folder"),
        (
            ["prepare", "films", "--output", "x", "--split", "temporal"],
            "There is no source 'films'",
        ),
        (["fit-cf", "nowhere", "--model", "mff", "--output", "x"], "no CF model 'mff'"),
        (["fit-cf", "x", "--model", "mf", "--output", "x", "-o", "size"], "write it as size=VALUE"),
        (["recommend", "nowhere", "--title", "Heat (1995)"], "is no run folder"),
    ],
)
def test_a_mistake_is_one_message_and_exit_status_1(
    arguments: list[str], message: str, capsys: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert corarec(*arguments) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert message in captured.err.replace("\n", " ")
    assert "Traceback" not in captured.err
    assert list(tmp_path.iterdir()) == []


def documented_commands() -> list[str]:
    texts = [path.read_text() for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]]
    found = [
        command
        for text in texts
        for command in re.findall(r"(?:^|`)(?:\.venv/bin/)?(corarec [a-z-]+ [^`\n]+)", text, re.M)
    ]
    return sorted({re.split(r"\s+#", command)[0].strip() for command in found})


@pytest.mark.parametrize("command", documented_commands())
def test_every_documented_command_can_be_typed(command: str) -> None:
    if "COMMAND" in command or "..." in command:
        pytest.skip("a pattern, not a command")
    _, verb, *arguments = shlex.split(command)
    group = typer.main.get_command(cli.app)
    subcommand = group.commands[verb]  # type: ignore[attr-defined]
    context = subcommand.make_context(verb, arguments)
    assert context.params


def test_titles_in_the_readme_are_in_the_world_of_the_quickstart() -> None:
    titles = re.findall(r'liked=\["([^"]+)"\]', (ROOT / "README.md").read_text())
    assert titles
    assert set(titles) <= set(synthetic_world(Synthetic()).items["title"])

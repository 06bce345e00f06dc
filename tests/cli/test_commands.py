import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import typer
import yaml
from rich.text import Text

from corarec import __version__, cli
from corarec.data import Synthetic, synthetic_world
from corarec.recipe import RunConfig

from .conftest import corarec

ROOT = Path(__file__).parents[2]


@pytest.fixture
def one_document(capsys: Any) -> Callable[..., dict[str, Any]]:
    """Run a command with --format json; its standard output is one document in ASCII."""

    def run(*arguments: str | Path) -> dict[str, Any]:
        capsys.readouterr()
        assert corarec(*arguments, "--format", "json") == 0
        out = capsys.readouterr().out
        assert out.isascii()
        document: dict[str, Any] = json.loads(out, parse_constant=pytest.fail)
        return document

    return run


def test_every_verb_from_interactions_to_a_page(
    tmp_path: Path, recipe: dict[str, Any], capsys: Any, one_document: Callable[..., Any]
) -> None:
    data, cf, run = tmp_path / "data", tmp_path / "cf", tmp_path / "run"
    size = ["num_users=60", "num_items=50", "interactions_per_user=20"]
    options = [part for knob in size for part in ("-o", knob)]
    split = ["--split", "published"]
    prepared = one_document("prepare", "synthetic", "--output", data, *split, *options)
    assert prepared["output"] == str(data)
    assert prepared["num_users"] == 60
    assert prepared["counts"]["train"]["rows"] > 0
    fit = ["-o", "max_epochs=3", "-o", "embedding_size=4"]
    fitted = one_document("fit-cf", data, "--model", "mf-b", "--output", cf, *fit)
    assert fitted["model"] == "mf-b"
    assert 0 < fitted["valid_auc"] < 1
    (tmp_path / "r.yaml").write_text(
        yaml.safe_dump({**recipe, "data": str(data), "cf": {"path": str(cf)}})
    )
    starter = tmp_path / "starter.yaml"
    assert one_document("init", data, "--output", starter)["recipe"] == str(starter)
    starter.write_text(starter.read_text() + "# mine\n")
    assert corarec("init", data, "--output", starter) == 1
    assert starter.read_text().endswith("# mine\n")
    assert RunConfig.parse(yaml.safe_load(starter.read_text()), "it").data == data
    diagnosis = one_document("doctor", tmp_path / "r.yaml")
    assert diagnosis["trainable"] > 0
    assert diagnosis["prompt_tokens"]["mean"] > 0
    profiled = one_document("profile", tmp_path / "r.yaml", "--pairs", "5")
    assert profiled["pairs"] == 5
    assert profiled["seconds_by_part"]["linear"] > 0
    train = ["train", str(tmp_path / "r.yaml"), "--output", str(run), "--set", "train.steps=3"]
    assert corarec(*train) == 0
    captured = capsys.readouterr()
    assert "train_loss" not in captured.out
    assert "learning_rate" in captured.err
    assert captured.out.startswith("Best validation AUC 0.")
    trained = one_document(*train)
    assert trained["steps"] == trained["best_step"] == 3
    capsys.readouterr()
    assert corarec("profile", run, "--pairs", "5") == 0
    assert "linear layers of the language model" in capsys.readouterr().out
    assert corarec("evaluate", run, "--split", "test", "--draws", "50") == 0
    table = capsys.readouterr().out
    assert "cora" in table
    assert "mf-b alone" in table
    assert "Item rate" in table
    rank = ["--candidates", "5", "--users", "4", "--draws", "50", "--split", "test"]
    assert corarec("evaluate-ranking", run, *rank) == 0
    assert "NDCG@10" in capsys.readouterr().out
    learned = one_document("learn-ranking", run, "--candidates", "5", "--users", "6")
    assert set(learned["groups"]) == {"with history", "without history"}
    assert corarec("learn-ranking", run, "--candidates", "5", "--users", "6") == 0
    assert "Users with history: popularity" in capsys.readouterr().out
    best = one_document("recommend", run, "--user", "7", "-k", "2")
    assert best["order"] == "popularity, as learned on validation for people with history"
    assert corarec("recommend", run, "--user", "7", "-k", "2") == 0
    assert "In the order of popularity" in capsys.readouterr().err
    (run / "ranking.json").unlink()
    pair = ["--first", str(run), "--second", str(run), "--split", "test", "--draws", "50"]
    compared = one_document("compare", *pair, "--against", "mf-b alone")
    assert compared["comparisons"][0]["second"] == "mf-b alone"
    chosen = ["--metric", "logloss", "--metric", "accuracy@0.7"]
    measured = one_document("evaluate", run, "--draws", "50", *chosen)
    assert list(measured["systems"][0]["parts"]["all"]["metrics"]) == ["logloss", "accuracy@0.7"]
    assert measured["references"][0]["parts"]["all"]["metrics"]["logloss"] is None
    assert one_document("report", run, "--split", "valid")["page"] == str(run / "report.html")
    assert "Log loss" in (run / "report.html").read_text()
    assert one_document("report", run, "--split", "test")["page"] == str(run / "report.html")
    assert "<html" in (run / "report.html").read_text()
    pairs = tmp_path / "pairs.parquet"
    pl.DataFrame({"user": ["1", "2"], "item": ["3", "4"]}).write_parquet(pairs)
    scored = one_document("score", run, "--pairs", pairs, "--output", tmp_path / "scored.parquet")
    assert scored["rows"] == 2
    assert pl.read_parquet(tmp_path / "scored.parquet")["probability"].is_between(0, 1).all()
    capsys.readouterr()
    assert corarec("recommend", run, "--user", "7", "-k", "3") == 0
    rows = capsys.readouterr().out.strip().splitlines()
    assert len(rows) == 3
    recommended = one_document("recommend", run, "--user", "7", "-k", "3")["recommendations"]
    for line, row in zip(rows, recommended, strict=True):
        probability = f"{row['probability']:.1%}"
        assert line.split(maxsplit=3) == [str(row["rank"]), probability, row["item"], row["title"]]
    assert corarec("recommend", run, "--user", "7", "--title", "The Midnight Heist (1994)") == 0
    line = capsys.readouterr().out
    assert "%  The Midnight Heist (1994)" in line
    assert corarec("recommend", run, "--user", "7", "--title", " ") == 1
    assert "title of the new item is empty" in capsys.readouterr().err
    assert len(one_document("recommend", run, "--user", "7", "-k", "90")["recommendations"]) < 90
    seed = ["--set", f"seed={2**64}"]
    assert corarec("train", tmp_path / "r.yaml", "--output", tmp_path / "other", *seed) == 1
    assert "seed: Input should be less than" in capsys.readouterr().err
    about = one_document("recommend", run, "--user", "7", "--title", "[/] \u202eHeat")
    assert about["title"] == "[/] \u202eHeat"
    assert 0 < about["probability"] < 1
    assert corarec("recommend", run, "--user", "7", "--title", "[/] \x1b[31m\u202eHeat") == 0
    assert capsys.readouterr().out.endswith("  [/] \\x1b[31m\\u202eHeat\n")


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
        (["recommend", "nowhere", "--user", "1"], "is no run folder"),
        (["recommend", "nowhere", "--title", "Heat (1995)"], "name one with --user"),
        (["recommend", "x", "--title", "", "--user", "1", "--liked", "y"], "without --liked"),
        (["recommend", "nowhere"], "Recommend to whom?"),
        (["recommend", "nowhere", "--user", "1", "--liked", "Heat (1995)"], "to whom?"),
        (["recommend", "x", "--user", "1", "-k", "200"], "raise --candidates"),
        (["recommend", "[red]x[/]", "--user", "1"], "[red]x[/] is no run folder"),
        (
            ["evaluate", "nowhere", "--metric", "acc"],
            "There is no metric 'acc'; choose one of auc,",
        ),
        (["evaluate", "[/]"], "[/] is no run folder"),
        (["evaluate", "\x1b[31mx\u202e"], r"\x1b[31mx\u202e is no run folder"),
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
    pages = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
    texts = [re.sub(r" *\\\n *", " ", path.read_text()) for path in pages]
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
    while isinstance(subcommand, typer.core.TyperGroup):
        verb, *arguments = arguments
        subcommand = subcommand.commands[verb]
    context = subcommand.make_context(verb, arguments)
    assert context.params


def test_titles_in_the_readme_are_in_the_world_of_the_quickstart() -> None:
    titles = re.findall(r'liked=\["([^"]+)"\]', (ROOT / "README.md").read_text())
    assert titles
    assert set(titles) <= set(synthetic_world(Synthetic()).items["title"])


def test_ctrl_c_says_that_the_same_command_goes_on(
    tmp_path: Path, recipe: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))

    def press(*_: Any, **__: Any) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("corarec.train.train_run", press)
    assert corarec("train", tmp_path / "recipe.yaml", "--output", tmp_path / "run") == 130
    said = capsys.readouterr().err
    assert said == "stopped. The same command goes on where it was.\n"
    monkeypatch.setattr("corarec.train.doctor.diagnose", press)
    assert corarec("doctor", tmp_path / "recipe.yaml") == 130
    assert capsys.readouterr().err == "stopped.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "folder", "--output", "x"], "folder"),
        (["train", "loop.yaml", "--output", "x"], "symbolic links"),
        (["train", "nul.yaml", "--output", "x"], "NUL character"),
        (["train", "file/recipe.yaml", "--output", "x"], "file/recipe.yaml"),
        (["fit-cf", "file", "--model", "mf", "--output", "x"], "a file where a folder is wanted"),
        (["evaluate", "n" * 300], "Choose a shorter one"),
        (["report", "file"], "file"),
        (["score", "x", "--pairs", "a.csv", "--output", "./a.csv"], "overwrite the input"),
        (["score", "x", "--pairs", "a.csv", "--output", "old.csv"], "give --overwrite"),
        (["score", "x", "--pairs", "a.csv", "--output", "a.xlsx"], "tells no format"),
        (["pretrain-backbone", "folder", "--output", "x"], "folder"),
        (["quickstart", "--output", "file"], "A file stands where a folder is wanted"),
        (["quickstart", "--output", "dangling"], "is a symbolic link to nowhere/at/all"),
        (["prepare", "synthetic", "--split", "published", "--output", "file/x"], "file"),
        (["prepare", "synthetic", "--split", "published", "--output", "dangling"], "symbolic link"),
        (["prepare", "synthetic", "--split", "published", "--output", "."], "did not write"),
        (["prepare", "synthetic", "--split", "published", "--output", "/"], "root of the disk"),
        (
            ["prepare", "table", "--split", "temporal", "--input", "folder", "--output", "."],
            "input",
        ),
    ],
)
def test_what_the_system_refuses_is_one_message_and_nothing_is_left(
    arguments: list[str], message: str, capsys: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "dangling").symlink_to("nowhere/at/all")
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    for name in ("a.csv", "old.csv"):
        (tmp_path / name).write_text("user,item\n7,1\n")
    (tmp_path / "nul.yaml").write_text('data: "a\\0b"\nsystem: {name: icl}\n')
    before = sorted(tmp_path.rglob("*"))
    assert corarec(*arguments) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "file").read_text() == "mine"


def test_the_version_is_printed(capsys: Any) -> None:
    assert corarec("--version") == 0
    assert capsys.readouterr().out == f"corarec {__version__}\n"


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("corarec fit-cf data --model light", "lightgcn"),
        ("corarec prepare movie", "movielens"),
        ("corarec prepare x --split leave", "leave-last-out"),
        ("corarec evaluate-r", "evaluate-ranking"),
    ],
)
def test_a_shell_completes_commands_and_names(
    words: str, completed: str, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.setenv("_CORAREC_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    assert corarec() == 0
    assert capsys.readouterr().out.split() == [completed]


def commands_of(group: Any) -> list[Any]:
    """Return a group's commands, those of its groups among them."""
    found: list[Any] = []
    for command in group.commands.values():
        found += commands_of(command) if hasattr(command, "commands") else [command]
    return found


def test_no_word_of_a_help_is_taken_for_a_style() -> None:
    told = 0
    for command in commands_of(typer.main.get_command(cli.app)):
        for text in [command.help, *(getattr(each, "help", None) for each in command.params)]:
            if text:
                assert Text.from_markup(text).plain == text, command.name
                told += 1
    assert told > 100


def test_help_and_version_import_nothing_slow() -> None:
    heavy = "{'torch', 'transformers', 'polars', 'pydantic', 'numpy'} & set(sys.modules)"
    for option in ("--help", "--version"):
        code = (
            f"import sys; sys.argv = ['corarec', {option!r}]\n"
            f"import atexit, os; atexit.register(lambda: {heavy} and os._exit(9))\n"
            "from corarec.cli import main; main()"
        )
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
        assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["recommend", "x", "-k", "0"], "-k"),
        (["recommend", "x", "-k", "-3"], "-k"),
        (["recommend", "x", "--candidates", "0"], "--candidates"),
        (["evaluate", "x", "--draws", "0"], "--draws"),
        (["evaluate", "x", "--draws", "1000000000"], "--draws"),
        (["evaluate", "x", "--format", "[red]xml"], "--format"),
        (["evaluate-ranking", "x", "--cutoff", "0"], "--cutoff"),
        (["fit-cf", "x", "--model", "mf", "--output", "y", "--seed", "-1"], "--seed"),
        (["fit-cf", "x", "--model", "mf", "--output", "y", "--seed", str(2**64)], "--seed"),
        (["recomend", "x"], "recommend"),
        (["[/]"], "[/]"),
    ],
)
def test_what_cannot_be_typed_is_a_usage_error(
    arguments: list[str], message: str, capsys: Any
) -> None:
    assert corarec(*arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


def test_the_readme_lists_every_command_and_only_those() -> None:
    listed = {
        verb
        for line in (ROOT / "README.md").read_text().splitlines()
        if line.startswith("| ")
        for verb in re.findall(r"`corarec ([a-z-]+)", line)
    }
    group = typer.main.get_command(cli.app)
    assert listed == set(group.commands)  # type: ignore[attr-defined]


def test_a_moved_dataset_is_named_with_data(
    trained_run: Path, tmp_path: Path, small_world_path: Path, capsys: Any
) -> None:
    run, world = tmp_path / "run", tmp_path / "elsewhere" / "world"
    shutil.copytree(trained_run, run)
    shutil.copytree(small_world_path, world)
    config, record = run / "config.yaml", run / "data.json"
    config.write_text(config.read_text().replace(str(small_world_path), "/gone"))
    record.write_text(json.dumps({**json.loads(record.read_text()), "path": "gone"}))
    pairs = tmp_path / "pairs.parquet"
    pl.DataFrame({"user": ["7"], "item": ["1"]}).write_parquet(pairs)
    scored = ("--pairs", pairs, "--output", tmp_path / "out.parquet")
    assert corarec("recommend", run, "--user", "7") == 1
    assert "Say where it is now with --data FOLDER" in capsys.readouterr().err
    for command in (
        ("evaluate", run, "--draws", "10"),
        ("evaluate-ranking", run, "--draws", "10", "--users", "2", "--candidates", "5"),
        ("report", run),
        ("recommend", run, "--user", "7", "-k", "2"),
        ("score", run, *scored),
        ("train", config, "--output", run),
    ):
        assert corarec(*command, "--data", world) == 0, command

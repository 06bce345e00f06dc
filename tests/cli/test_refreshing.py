"""What a service was told reaches the run by the command."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from tests.cli.conftest import corarec

from corarec.runs.refresh import REFRESHES, newest_refresh


@pytest.fixture
def run(trained_run: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained_run, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def events(tmp_path: Path) -> Path:
    told = [("zoe", "3", "like", 2_000_000_000), ("zoe", "new", "dislike", 2_000_000_001)]
    frame = pl.DataFrame(told, schema=("user", "item", "kind", "time"), orient="row")
    frame.write_parquet(tmp_path / "events.parquet")
    items = pl.DataFrame({"item": ["new"], "title": ["Rivers \x1b[31mof Silver"]})
    items.write_parquet(tmp_path / "events.items.parquet")
    return tmp_path / "events.parquet"


def test_the_command_says_what_was_learned_and_where(
    run: Path, events: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    items = pl.DataFrame({"item": ["new"], "title": ["Rivers of Silver"]})
    items.write_parquet(events.with_name("others.parquet"))
    words = ("refresh", run, "--events", events, "--items", events.with_name("others.parquet"))
    assert corarec(*words) == 0
    told = capsys.readouterr().out
    assert "2 likes and dislikes, 1 new users and 1 new items are learned" in told
    assert str(run / REFRESHES / str(newest_refresh(run))) in told.replace("\n", "")
    assert corarec(*words, "--format", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["events"], document["users"], document["items"]) == (2, 1, 1)
    assert Path(document["refresh"]).is_dir()


def test_what_cannot_be_learned_is_one_line_and_changes_nothing(
    run: Path, events: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert corarec("refresh", run, "--events", tmp_path / "none.parquet") == 1
    assert corarec("refresh", tmp_path, "--events", events) == 1
    assert corarec("refresh", run) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Traceback" not in printed.err
    assert newest_refresh(run) is None

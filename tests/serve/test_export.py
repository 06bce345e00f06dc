from pathlib import Path

import polars as pl
import pytest
from tests.cli.conftest import corarec

from corarec.errors import ConfigError
from corarec.serve.export import COLUMNS, export_events
from corarec.serve.store import Store
from corarec.serve.writes import Feedback, ForgetUser, NewEvent, PutItem, Shown


def test_events_and_added_items_are_tables(store: Store, tmp_path: Path) -> None:
    events = [
        NewEvent("u", "new", "like", 9, "r"),
        NewEvent("u", "3", "seen", 5),
        NewEvent("gone", "3", "like", 6),
    ]
    items = [
        PutItem("new", "The Quiet Comet", {"genres": ["Drama", "War"], "year": 2031}, 9),
        PutItem("other", "Another", {"year": "unknown"}, 9),
    ]
    store.write([*items, Shown("r", "u", [("new", 2, 0.1, 0.5)]), Feedback(events)])
    store.write([ForgetUser("gone")])
    count, beside = export_events(store, tmp_path / "events.parquet")
    table = pl.read_parquet(tmp_path / "events.parquet")
    assert count == 2
    assert table.schema == COLUMNS
    assert table.select("item", "kind", "time", "title", "shown_rank").rows() == [
        ("3", "seen", 5, None, None),
        ("new", "like", 9, "The Quiet Comet", 2),
    ]
    added = pl.read_parquet(beside)
    assert added["item"].to_list() == ["new", "other"]
    assert added["genres"].to_list() == ["Drama|War", None]


def test_a_store_without_events_gives_empty_tables(store: Store, tmp_path: Path) -> None:
    count, beside = export_events(store, tmp_path / "events.parquet")
    assert count == 0
    assert pl.read_parquet(tmp_path / "events.parquet").schema == COLUMNS
    assert pl.read_parquet(beside).columns == ["item", "title", "time"]


def test_nothing_is_overwritten_unasked(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not named .parquet"):
        export_events(store, tmp_path / "events.csv")
    beside = tmp_path / "events.items.parquet"
    beside.write_text("mine")
    with pytest.raises(ConfigError, match=r"events.items.parquet exists"):
        export_events(store, tmp_path / "events.parquet")
    assert beside.read_text() == "mine"
    assert not (tmp_path / "events.parquet").exists()
    assert export_events(store, tmp_path / "events.parquet", overwrite=True)[0] == 0


def test_the_command_wants_a_run_or_a_store(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.parquet"
    assert corarec("events", "export", "--output", output) == 1
    assert "either --run RUN or --store URL" in capsys.readouterr().err
    assert corarec("events", "export", "--output", output, "--run", tmp_path / "none") == 1
    assert "nothing was stored there yet" in capsys.readouterr().err
    url = f"sqlite:///{tmp_path}/store.sqlite"
    assert corarec("events", "export", "--output", output, "--store", url) == 0
    assert output.is_file()

"""What was told is learned into the CF model of a run, and a service takes it into use."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from corarec.cf import load_cf
from corarec.data import Dataset
from corarec.data.history import Timeline
from corarec.errors import ArtifactError, ConfigError, DataError
from corarec.runs import load_run
from corarec.runs.layout import CF
from corarec.runs.live import LiveRun
from corarec.runs.refresh import REFRESHES, newest_refresh, open_refresh, refresh_run

NOW = 2_000_000_000


@pytest.fixture
def place(home: Path, tmp_path: Path) -> Path:
    shutil.copytree(home, tmp_path / "home")
    return tmp_path / "home" / "run"


def write_events(folder: Path, rows: list[tuple[str, str, str, int]]) -> Path:
    columns = ("user", "item", "kind", "time")
    frame = pl.DataFrame(rows, schema=columns, orient="row")
    frame.write_parquet(folder / "events.parquet")
    return folder / "events.parquet"


def test_a_service_learns_and_swaps_without_losing_anything(place: Path, tmp_path: Path) -> None:
    before = {p: p.read_bytes() for p in (place / CF).rglob("*") if p.is_file()}
    live = LiveRun.open(place)
    first, second, third = live.run.knowledge.catalogue.vocabulary.raw_ids[:3]
    (user,) = live.example_users(1)
    live.add_item("new", "Rivers of Silver (1999)")
    told = [
        ("zoe", first, "like", NOW),
        ("zoe", "new", "like", NOW + 1),
        (user, "new", "like", NOW),
    ]
    for row in told:
        live.record(*row)  # type: ignore[arg-type]
    live.record("zoe", second, "seen", NOW + 2)
    (scored,) = live.score([("zoe", third)])
    events = write_events(tmp_path, told)
    items = pl.DataFrame({"item": ["new"], "title": ["Rivers of Silver (1999)"]})
    items.write_parquet(tmp_path / "events.items.parquet")
    record = refresh_run(place, events)
    assert (record.events, record.users, record.items) == (3, 1, 1)
    assert {p: p.read_bytes() for p in (place / CF).rglob("*") if p.is_file()} == before
    live.record("amy", third, "dislike", NOW + 3)
    assert live.swap() == record.fingerprint == newest_refresh(place)
    assert live.info()["events"] == 2
    (again,) = live.score([("zoe", third)])
    assert again.score == pytest.approx(scored.score, abs=1e-3)
    assert [event.kind for event in live.known("zoe").events] == ["seen", "like", "like"]
    (of_new,) = live.score([("zoe", "new")])
    assert not of_new.cold_item
    assert live.swap(None) is None
    assert live.info()["events"] == 5
    (back,) = live.score([("zoe", third)])
    assert back.score == pytest.approx(scored.score, abs=1e-5)
    opened = LiveRun.open(place)
    assert opened.info()["refresh"] == record.fingerprint
    assert load_run(place).dataset.num_users == load_run(place).knowledge.num_users


def test_users_of_the_fit_stay_where_they_were(place: Path, tmp_path: Path) -> None:
    run = load_run(place)
    (item,) = run.knowledge.catalogue.vocabulary.raw_ids[:1]
    refresh_run(place, write_events(tmp_path, [("zoe", item, "like", NOW)]))
    name = newest_refresh(place)
    assert name is not None
    after = open_refresh(place, name).model
    before = load_cf(place / CF)
    pairs = run.dataset.pairs("train")
    tables = before.vector_table(pairs), after.vector_table(pairs)
    rows = np.arange(len(pairs))
    (_, old), (_, new) = (table.lookup(rows) for table in tables)
    np.testing.assert_allclose(old, new, atol=1e-6)


def test_what_was_drawn_as_a_negative_stays_unmet_until_somebody_tells_of_it(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Dataset.timeline.func  # type: ignore[attr-defined]

    def drawn(data: Dataset) -> Timeline:
        line = plain(data)
        line.met = line.labels == 1
        return line

    monkeypatch.setattr(Dataset, "timeline", property(drawn))
    live = LiveRun.open(place)
    line, catalogue = live.run.knowledge.timeline, live.run.knowledge.catalogue
    row = int(np.argmin(line.labels))
    number, item = int(line.user_ids[row]), int(line.item_ids[row])
    assert item not in line.seen(number)
    user = live.run.knowledge.users.raw_ids[number - 1]
    other = catalogue.vocabulary.raw_ids[0]
    told = [
        (user, catalogue.vocabulary.raw_ids[item - 1], "dislike", NOW),
        ("zoe", other, "like", NOW),
    ]
    refresh_run(place, write_events(tmp_path, told))
    newest = newest_refresh(place)
    assert newest is not None
    after = open_refresh(place, newest).knowledge
    seen = after.timeline.seen(number).tolist()
    assert seen == sorted({*line.seen(number).tolist(), item})


def test_ratings_are_known_after_a_refresh_even_where_times_are_not(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Dataset.knowledge.func  # type: ignore[attr-defined]
    monkeypatch.setattr(
        Dataset, "knowledge", property(lambda data: plain(data).without_times(keep_stars=True))
    )
    before = LiveRun.open(place).run.knowledge
    refresh_run(
        place,
        write_events(tmp_path, [("zoe", before.catalogue.vocabulary.raw_ids[0], "like", NOW)]),
    )
    newest = newest_refresh(place)
    assert newest is not None
    after = open_refresh(place, newest).knowledge
    assert before.timeline.times is None
    assert after.timeline.times is None
    for user in range(1, before.num_users + 1):
        known, now = (each.timeline.so_far(np.array([user])) for each in (before, after))
        np.testing.assert_array_equal(known.stars_of(0), now.stars_of(0))


def test_what_cannot_be_learned_is_told_and_changes_nothing(place: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'ghost', which neither the run nor the items name"):
        refresh_run(place, write_events(tmp_path, [("zoe", "ghost", "like", NOW)]))
    with pytest.raises(DataError, match=r"row 1: kind is 'love'"):
        refresh_run(place, write_events(tmp_path, [("zoe", "1", "love", NOW)]))
    with pytest.raises(DataError, match="row 1: time is '-1'"):
        refresh_run(place, write_events(tmp_path, [("zoe", "1", "like", -1)]))
    with pytest.raises(DataError, match="does not exist"):
        refresh_run(place, tmp_path / "nothing.parquet")
    assert newest_refresh(place) is None
    with pytest.raises(ArtifactError, match="has no refresh 'abc'"):
        open_refresh(place, "abc")


def test_a_damaged_refresh_is_not_taken(place: Path, tmp_path: Path) -> None:
    live = LiveRun.open(place)
    item = live.run.knowledge.catalogue.vocabulary.raw_ids[0]
    record = refresh_run(place, write_events(tmp_path, [("zoe", item, "like", NOW)]))
    tensors = place / REFRESHES / record.fingerprint / CF / "model.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-3])
    live.record("zoe", item, "like", NOW)
    with pytest.raises(ArtifactError, match="cut off or damaged"):
        live.swap()
    assert live.info()["refresh"] is None
    live.score([("zoe", item)])


def test_a_run_without_cf_says_so(place: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is an archive"):
        refresh_run(write_events(tmp_path, []), tmp_path / "events.parquet")

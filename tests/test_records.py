from pathlib import Path
from typing import Any

import pytest

from corarec.errors import ArtifactError
from corarec.records import append_record, keep_records, read_records


def test_what_was_appended_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    assert read_records(path) == []
    records: list[dict[str, Any]] = [{"step": 1, "loss": 0.5}, {"step": 2, "text": "Amélie"}]
    for record in records:
        append_record(path, record)
    assert read_records(path) == records


@pytest.mark.parametrize("cut", [1, 3, 6, 20])
def test_a_torn_last_line_is_left_out_even_within_a_character(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "log.jsonl"
    append_record(path, {"step": 1})
    append_record(path, {"step": 2, "text": "Amélie é"})
    path.write_bytes(path.read_bytes()[:-cut])
    whole = [{"step": 1}] + [{"step": 2, "text": "Amélie é"}] * (cut == 1)
    assert read_records(path) == whole
    assert keep_records(path, 9) == whole
    append_record(path, {"step": 3})
    assert read_records(path) == [*whole, {"step": 3}]


def test_records_behind_a_step_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    for step in (1, 2, 3):
        append_record(path, {"step": step})
    assert keep_records(path, 2) == read_records(path) == [{"step": 1}, {"step": 2}]


def test_damage_before_the_end_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    for damage in (b"nonsense", b"[1]", b"\xff", b""):
        path.write_bytes(b'{"step": 1}\n' + damage + b'\n{"step": 3}\n')
        with pytest.raises(ArtifactError, match=r"log\.jsonl line 2 is not JSON"):
            read_records(path)
    path.write_text('{"step": 1}\n{"loss": 1}\n')
    with pytest.raises(ArtifactError, match="line 2 has no `step`"):
        keep_records(path, 5)

"""Files of questions and of texts, whole and damaged."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from corarec.ability.files import question_files, read_task, read_tasks, read_texts, sample
from corarec.errors import DataError


def test_a_folder_gives_its_files_by_name(questions: Path) -> None:
    tasks = read_tasks([questions], None, 0)
    assert {task.name: (task.kind, len(task.examples)) for task in tasks} == {
        "choice": ("choice", 4),
        "facts": ("exact", 1),
        "prompts": ("prompts", 2),
        "summary": ("rouge", 3),
    }
    assert [task.chance for task in tasks] == [pytest.approx(1 / 3), None, None, None]
    assert [task.constant for task in tasks] == [0.5, None, None, None]
    assert [example.row for example in tasks[2].examples] == [1, 3]
    assert question_files([questions / "choice.json"]) == [questions / "choice.json"]


def test_a_constant_answer_needs_labels_in_common(tmp_path: Path) -> None:
    rows = [{"question": "x", "choices": [f"{n}", f"not {n}"], "answer": 0} for n in range(3)]
    (tmp_path / "own.json").write_text(json.dumps(rows))
    task = read_task(tmp_path / "own.json")
    assert (task.chance, task.constant) == (0.5, None)


def test_the_sample_depends_on_seed_and_name_alone(questions: Path) -> None:
    def rows(seed: int) -> list[int]:
        (task,) = read_tasks([questions / "choice.json"], 2, seed)
        assert (len(task.examples), task.rows) == (2, 4)
        return [example.row for example in task.examples]

    assert rows(0) == rows(0)
    assert len({tuple(rows(seed)) for seed in range(20)}) > 2
    assert sample("a", 1000, 5, 0) != sample("b", 1000, 5, 0)
    assert sample("a", 3, 5, 0) == sample("a", 3, None, 0) == [0, 1, 2]


def test_a_byte_order_mark_and_other_line_ends(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_bytes("\ufeffOne?\r\nTwo?\r\n".encode())
    assert [e.prompt for e in read_task(tmp_path / "p.txt").examples] == ["One?", "Two?"]
    row = json.dumps({"question": "Who?", "answers": ["I"]})
    (tmp_path / "q.jsonl").write_bytes(f"\ufeff{row}\r\n\r\n{row}\r\n".encode())
    assert [e.row for e in read_task(tmp_path / "q.jsonl").examples] == [1, 3]


def good(**changes: Any) -> dict[str, Any]:
    return {"instruction": "Say.\n\nAnswer format: a/b", "answer": "a"} | changes


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("q.json", "", r"q\.json is empty"),
        ("q.json", "[]", r"q\.json is empty"),
        ("q.jsonl", "\n\n", r"q\.jsonl is empty"),
        ("q.txt", " \n", r"q\.txt is empty"),
        ("q.json", "{", r"q\.json: no JSON"),
        ("q.json", '{"a": 1}', r"q\.json holds a dict, where a list of objects"),
        ("q.json", "[1]", r"q\.json, row 1: 1 is no object"),
        ("q.json", json.dumps([good(), good(answer="z")]), r"q\.json, row 2: .*'z' is none"),
        ("q.json", json.dumps([good(), good(answer=float("nan"))]), r"row 2: 'answer' is nan"),
        ("q.json", json.dumps([good(), {"article": "x"}]), r"row 2: .*'instruction' is missing"),
        ("q.json", json.dumps([good(), good(instruction="Say.")]), r"row 2: no choices are named"),
        ("q.jsonl", json.dumps(good()) + "\nnot json\n", r"q\.jsonl, row 2: no JSON"),
        ("q.jsonl", json.dumps({"text": "x"}), r"row 1: the fields text are of no known form"),
        ("q.csv", "a,b", r"q\.csv is no file of questions"),
        ("q.json", "[" * 100_000, r"q\.json: no JSON"),
    ],
)
def test_a_mistake_has_its_file_and_row(
    name: str, content: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        read_tasks([tmp_path / name], None, 0)


def test_files_that_are_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_tasks([tmp_path / "no.json"], None, 0)
    with pytest.raises(DataError, match="holds no file of questions"):
        read_tasks([tmp_path], None, 0)
    (tmp_path / "q.jsonl").write_bytes(b'{"question": "x"}\n\xff')
    with pytest.raises(DataError, match="line 2: not UTF-8"):
        read_tasks([tmp_path / "q.jsonl"], None, 0)


def test_texts_of_tables_and_of_paragraphs(tmp_path: Path) -> None:
    table = pl.DataFrame({"id": [1, 2, 3, 4], "text": ["One.", None, " ", "Four: \u00e9."]})
    table.write_parquet(tmp_path / "t.parquet")
    table.with_columns(pl.col("id").cast(pl.String)).write_csv(tmp_path / "t2.csv")
    (tmp_path / "p.txt").write_text("First\nline.\n\n \nSecond.\n")
    named = [str(tmp_path / "t.parquet"), f"{tmp_path / 't2.csv'}:text", str(tmp_path / "p.txt")]
    table.write_ndjson(tmp_path / "t3.jsonl")
    named.append(f"{tmp_path / 't3.jsonl'}:text")
    first, second, third, fourth = read_texts(named, None, 0)
    assert fourth.texts == first.texts
    assert (first.texts, first.numbers, first.rows) == (("One.", "Four: \u00e9."), (1, 4), 2)
    assert (second.name, second.texts) == ("t2:text", first.texts)
    assert third.texts == ("First\nline.", "Second.")
    (few,) = read_texts(named[:1], 1, 0)
    assert (len(few.texts), few.rows) == (1, 2)


def test_texts_that_cannot_be_read(tmp_path: Path) -> None:
    pl.DataFrame({"a": ["x"], "b": ["y"], "n": [np.nan]}).write_parquet(tmp_path / "t.parquet")
    for named, message in {
        "t.parquet": "no column was named; its columns of text are a, b",
        "t.parquet:n": "there is no text in 'n'",
        "t.parquet:zz": "there is no text in 'zz'",
        "no.parquet": "cannot be read|is not a table",
        "t.pdf": "is no file of texts",
    }.items():
        with pytest.raises(DataError, match=message):
            read_texts([str(tmp_path / named)], None, 0)
    pl.DataFrame({"a": [None, " "]}, schema={"a": pl.String}).write_parquet(tmp_path / "e.parquet")
    with pytest.raises(DataError, match="has no text"):
        read_texts([str(tmp_path / "e.parquet")], None, 0)
    (tmp_path / "bad.jsonl").write_text('{"a": "x"}\n{"a": ')
    with pytest.raises(DataError, match=r"bad\.jsonl is not a table"):
        read_texts([f"{tmp_path / 'bad.jsonl'}:a"], None, 0)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 not")
    with pytest.raises(DataError, match=r"bad\.parquet"):
        read_texts([str(tmp_path / "bad.parquet")], None, 0)

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from corarec.data import json_lines
from corarec.data.inputs import InputFiles
from corarec.data.json_lines import first_object, scan_json_lines
from corarec.errors import DataError

FIELDS: dict[str, pl.DataType] = {"a": pl.String(), "n": pl.Float32()}


def files_with(folder: Path, content: str, name: str = "x.json") -> InputFiles:
    data = content.encode("utf-8")
    (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return InputFiles(folder)


@pytest.mark.parametrize("name", ["x.json", "x.json.gz"])
def test_chosen_fields_of_json(tmp_path: Path, name: str) -> None:
    files = files_with(tmp_path, '{"a": "é", "z": [1]}\n{"n": 2, "a": null}\n{"a": ["q"]}\n', name)
    table = scan_json_lines(files, name, FIELDS).collect()
    assert table.rows() == [(1, "é", None), (2, None, 2.0), (3, '["q"]', None)]


def test_python_literals(tmp_path: Path) -> None:
    files = files_with(tmp_path, "{'a': \"it's\", 'n': 1.5}\n{'a': None, 'n': 2, 'b': [['c']]}\n")
    assert scan_json_lines(files, "x.json", FIELDS).collect().rows() == [
        (1, "it's", 1.5),
        (2, None, 2.0),
    ]


def test_literals_are_never_run(tmp_path: Path) -> None:
    files = files_with(tmp_path, "{'a': __import__('os').getcwd()}\n")
    with pytest.raises(DataError, match=r"x\.json, row 1: .* neither a JSON object nor"):
        first_object(files, "x.json")


def test_pieces_and_filters_give_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_lines, "BYTES_PER_PIECE", 100)
    lines = [json.dumps({"a": str(n), "n": n}) for n in range(200)]
    files = files_with(tmp_path, "\n".join(lines))
    scan = scan_json_lines(files, "x.json", FIELDS)
    assert scan.select("row").collect()["row"].to_list() == list(range(1, 201))
    assert scan.filter(pl.col("n") >= 198).collect().rows() == [
        (199, "198", 198),
        (200, "199", 199),
    ]
    assert scan.head(3).collect()["a"].to_list() == ["0", "1", "2"]


def test_blank_lines_are_skipped_and_counted(tmp_path: Path) -> None:
    files = files_with(tmp_path, '{"a": "x"}\n\n{"a": "y"}\n')
    assert scan_json_lines(files, "x.json", FIELDS).collect()["row"].to_list() == [1, 3]


def test_a_broken_line_names_its_row(tmp_path: Path) -> None:
    files = files_with(tmp_path, '{"a": "x"}\n{"a": "y"}\n{"a": "z\n')
    with pytest.raises(DataError, match=r"x\.json, row 3: "):
        scan_json_lines(files, "x.json", FIELDS).collect()


def test_a_number_that_is_none_names_its_row(tmp_path: Path) -> None:
    files = files_with(tmp_path, '{"n": 1}\n{"n": "good"}\n')
    with pytest.raises(DataError, match=r"x\.json, row 2: n is 'good', which is not a number"):
        scan_json_lines(files, "x.json", FIELDS).collect()


def test_a_gzip_cut_off(tmp_path: Path) -> None:
    data = gzip.compress(b"".join(b'{"a": "%d"}\n' % (n * 7919) for n in range(5000)))
    (tmp_path / "x.json.gz").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"x\.json\.gz is cut off or damaged"):
        scan_json_lines(InputFiles(tmp_path), "x.json.gz", FIELDS).collect()


def test_an_empty_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.json is empty"):
        first_object(files_with(tmp_path, ""), "x.json")


def test_a_line_without_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "BYTES_PER_PIECE", 40)
    monkeypatch.setattr(json_lines, "LONGEST_LINE", 100)
    (tmp_path / "a.json").write_text('{"a": "1"}\n' * 4 + '{"a": "' + "x" * 500)
    scan = scan_json_lines(InputFiles(tmp_path), "a.json", {"a": pl.String()})
    with pytest.raises(DataError, match=r"a\.json, row 5: a line of more than 100 bytes"):
        scan.collect()


def test_pieces_are_cut_at_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "BYTES_PER_PIECE", 50)
    texts = [f"line {n} " + "é" * (n % 9) for n in range(100)]
    lines = "\n".join(json.dumps({"a": text}, ensure_ascii=False) for text in texts)
    (tmp_path / "a.json").write_bytes(lines.encode("utf-8-sig"))
    table = scan_json_lines(InputFiles(tmp_path), "a.json", {"a": pl.String()}).collect()
    assert table["a"].to_list() == texts
    assert table["row"].to_list() == list(range(1, 101))


@pytest.mark.parametrize("line", ["[" * 100_000, '{"a":' * 100_000, "-" * 100_000, "(" * 100_000])
def test_deep_nesting(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.json").write_text('{"a": "1"}\n' + line + "\n")
    scan = scan_json_lines(InputFiles(tmp_path), "a.json", {"a": pl.String()})
    with pytest.raises(DataError, match=r"a\.json, row 2: .* neither"):
        scan.collect()


def test_halves_of_characters_are_put_together_or_marked(tmp_path: Path) -> None:
    lines = ['{"a": "x"}', "{'a': '\\ud83d\\ude00'}", '{"a": "\\ud800|"}', '{"a": ["\\udfff"]}']
    files = files_with(tmp_path, "\n".join(lines))
    table = scan_json_lines(files, "x.json", {"a": pl.String()}).collect()
    assert table["a"].to_list() == ["x", "\U0001f600", "\ufffd|", '["\ufffd"]']


@pytest.mark.parametrize("value", ["{1, 2}", "b'x'", "{(1, 2): 3}", "1j", f"0x{'f' * 5000}"])
def test_values_that_only_python_has_name_their_row(tmp_path: Path, value: str) -> None:
    files = files_with(tmp_path, "{'a': 'x'}\n{'a': " + value + "}\n")
    with pytest.raises(DataError, match=r"x\.json, row 2: what a holds cannot be read"):
        scan_json_lines(files, "x.json", {"a": pl.String()}).collect()

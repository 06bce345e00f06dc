import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corarec.data import PrepareConfig, prepare
from corarec.data.inputs import InputFiles
from corarec.data.sources.collm import Collm
from corarec.errors import DataError

PARTS: dict[str, dict[int, tuple[int, int, int, int, str]]] = {
    "train": {0: (1, 1, 1, 10, "A"), 3: (2, 1, 0, 5, "A")},
    "valid": {1: (1, 2, 0, 20, "B"), 4: (2, 2, 1, 15, "B")},
    "test": {2: (1, 3, 1, 30, "C"), 5: (2, 3, 0, 25, "C")},
}


def write(folder: Path, **leave_out: str) -> None:
    pandas = pytest.importorskip("pandas")
    names = ["uid", "iid", "label", "timestamp", "title"]
    for part, rows in PARTS.items():
        columns: dict[str, Any] = {
            name: np.array([row[n] for row in rows.values()], dtype=object if n == 4 else np.int64)
            for n, name in enumerate(names)
            if name != leave_out.get(part)
        }
        frame = pandas.DataFrame(columns, index=list(rows))
        frame.columns = pandas.Index(list(columns), dtype=object)
        frame["title"] = frame["title"].astype(object)
        (folder / f"{part}_ood2.pkl").write_bytes(pickle.dumps(frame))


def test_splits_are_put_together_in_their_order(tmp_path: Path) -> None:
    write(tmp_path)
    output = tmp_path / "out"
    dataset = prepare(
        PrepareConfig(source="collm", input=tmp_path, output=output, split="published")
    )
    assert dataset.interactions["timestamp"].to_list() == [10, 20, 30, 5, 15, 25]
    assert dataset.interactions["split"].to_list() == ["train", "valid", "test"] * 2
    assert dataset.interactions["label"].to_list() == [1, 0, 1, 0, 1, 0]
    assert dataset.titles == ["", "A", "B", "C"]
    assert dataset.card.labels == "given by the source"
    assert len(dataset.card.inputs) == 3


def test_a_missing_part(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "valid_ood2.pkl").unlink()
    with pytest.raises(DataError, match=r"has no file valid_ood2\.pkl"):
        Collm().read(InputFiles(tmp_path))


def test_a_missing_column(tmp_path: Path) -> None:
    write(tmp_path, train="label")
    with pytest.raises(DataError, match=r"train_ood2\.pkl lacks the column label"):
        Collm().read(InputFiles(tmp_path))


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("uid", [1.0, float("nan")], "row 1 .from 0.: uid is nan, expected a whole number"),
        ("iid", [1, "x"], "iid is x, expected a whole number"),
        ("timestamp", [1.5, 2.0], "timestamp is 1.5"),
        ("timestamp", [1, 2**63], "timestamp has numbers that are too large"),
        ("label", [0, 7], "label is 7, expected 0 or 1"),
        ("title", ["A", ["B"]], "row 3: title is a list, expected a text"),
    ],
)
def test_values_that_do_not_fit(
    tmp_path: Path, column: str, values: list[Any], message: str
) -> None:
    pandas = pytest.importorskip("pandas")
    write(tmp_path)
    rows: dict[str, Any] = {"uid": [1, 2], "iid": [1, 1], "label": [0, 1], "timestamp": [1, 2]}
    rows |= {"title": ["A", "A"], column: values}
    frame = pandas.DataFrame(rows, index=[0, 3])
    (tmp_path / "train_ood2.pkl").write_bytes(pickle.dumps(frame))
    with pytest.raises(DataError, match=message):
        Collm().read(InputFiles(tmp_path))


def test_whole_numbers_as_floats_and_missing_titles(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    write(tmp_path)
    rows = {"uid": [1.0, 2.0], "iid": [1, 1], "label": [False, True], "timestamp": [1, 2]}
    frame = pandas.DataFrame(rows | {"title": ["A", None]}, index=[0, 3])
    (tmp_path / "train_ood2.pkl").write_bytes(pickle.dumps(frame))
    table = Collm().read(InputFiles(tmp_path)).interactions.collect()
    assert table["user"].to_list()[::3] == ["1", "2"]
    assert table["label"].to_list()[::3] == [0, 1]

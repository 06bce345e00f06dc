import io
import os
import pickle
import struct
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corarec.data.pickled_frame import read_pickled_frame
from corarec.errors import DataError

FILE = Path("t.pkl")


def pickled_table(**columns: Any) -> io.BytesIO:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({name: pandas.Series(v, dtype=None) for name, v in columns.items()})
    frame.columns = pandas.Index(list(columns), dtype=object)
    return io.BytesIO(pickle.dumps(frame, protocol=5))


def test_columns_and_index_of_a_table() -> None:
    stream = pickled_table(
        uid=np.array([1, 2, 3]),
        flag=np.array([0.5, 1.5, 2.5]),
        iid=np.array([4, 5, 6]),
        his=np.array([[0], [0, 4], []], dtype=object),
    )
    columns = read_pickled_frame(stream, FILE)
    assert list(columns[""]) == [0, 1, 2]
    assert columns["uid"].tolist() == [1, 2, 3]
    assert columns["iid"].tolist() == [4, 5, 6]
    assert columns["flag"].tolist() == [0.5, 1.5, 2.5]
    assert columns["his"].tolist() == [[0], [0, 4], []]


class Evil:
    """Pickles as a call of `call`, and then as a state set on its result."""

    def __init__(self, call: Any, *arguments: Any, state: Any = None) -> None:
        self.call = call
        self.arguments = arguments
        self.state = state

    def __reduce__(self) -> Any:
        return self.call, self.arguments, self.state


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_code_in_a_pickle_is_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    trace = tmp_path / "trace"
    stream = io.BytesIO(pickle.dumps(Evil(os.mkdir, str(trace)), protocol=protocol))
    with pytest.raises(
        DataError, match=r"t\.pkl wants to load posix\.mkdir.*nothing of it was run"
    ):
        read_pickled_frame(stream, FILE)
    assert not trace.exists()


@pytest.mark.parametrize("name", ["eval", "exec", "getattr", "__import__"])
def test_builtins_are_refused(name: str) -> None:
    stream = io.BytesIO(f"cbuiltins\n{name}\n(V1\ntR.".encode())
    with pytest.raises(DataError, match=f"builtins.{name}"):
        read_pickled_frame(stream, FILE)


@pytest.mark.parametrize("name", ["numpy load", "numpy.core.multiarray fromfile", "pandas eval"])
def test_other_names_of_numpy_and_pandas_are_refused(name: str) -> None:
    module, function = name.split()
    stream = io.BytesIO(f"c{module}\n{function}\n(V1\ntR.".encode())
    with pytest.raises(DataError, match="wants to load"):
        read_pickled_frame(stream, FILE)


def test_a_pickle_cut_off() -> None:
    content = pickled_table(uid=np.array([1, 2])).getvalue()
    for size in (0, 10, len(content) // 2, len(content) - 1):
        with pytest.raises(DataError, match=r"t\.pkl is not a whole pickled table"):
            read_pickled_frame(io.BytesIO(content[:size]), FILE)


def test_something_else() -> None:
    with pytest.raises(DataError, match="holds a list, expected a pandas DataFrame"):
        read_pickled_frame(io.BytesIO(pickle.dumps([1])), FILE)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_table_is_what_pandas_says(protocol: int, order: str) -> None:
    pandas = pytest.importorskip("pandas")
    block = np.array([[1, -2, 2**62], [4, 5, 6]], order=order)  # type: ignore[call-overload]
    frame = pandas.DataFrame(block.T, columns=["a", "d"], index=[7, 5, 3])
    frame.insert(1, "b", np.array([0.5, np.nan, -np.inf]))
    frame.insert(2, "c", pandas.Series(["Café", "日本 🎬", None], index=frame.index))
    frame["e"] = np.array([True, False, True])
    frame["f"] = np.array([1, 2, 255], dtype=np.uint8)
    frame["g"] = np.array([1, 2, 3], dtype=">i4")
    frame["h"] = np.array([1, 2, 3], dtype=np.float32)
    frame["i"] = pandas.Series(["x", None, "z"], dtype=object, index=frame.index)
    frame["j"] = np.array([4, 5, 6])
    frame["k"] = pandas.Series(["x", None, "z"], dtype="string[python]", index=frame.index)
    frame["l"] = pandas.Series([[np.int64(3), "a", np.str_("b")], (), np.array([1.5])]).to_numpy()
    columns = read_pickled_frame(io.BytesIO(pickle.dumps(frame, protocol=protocol)), FILE)
    assert list(columns) == ["", *frame.columns]
    assert columns.pop("").tolist() == [7, 5, 3]
    lists = columns.pop("l")
    assert [list(value) for value in lists] == [[3, "a", "b"], [], [1.5]]
    assert type(lists[0][0]) is int
    for name, column in columns.items():
        expected = frame[name].astype(object).where(frame[name].notna(), None).tolist()
        found = [None if value != value else value for value in column.tolist()]
        assert found == expected, name


def test_a_selection_of_rows_and_columns() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({name: np.arange(6) * n for n, name in enumerate("abcd")})
    for part in (frame[::2], frame[["d", "b"]], frame.iloc[:, ::-1], frame.iloc[1:4, 1::2]):
        columns = read_pickled_frame(io.BytesIO(pickle.dumps(part)), FILE)
        assert columns.pop("").tolist() == part.index.tolist()
        assert {name: column.tolist() for name, column in columns.items()} == part.to_dict("list")


def frame_of(values: Any, index: Any = None) -> bytes:
    """Pickle a table with one column `a` whose block holds `values`."""
    pandas = pytest.importorskip("pandas")
    internals = pytest.importorskip("pandas._libs.internals")
    managers = pytest.importorskip("pandas.core.internals.managers")
    base = pytest.importorskip("pandas.core.indexes.base")
    names = Evil(base._new_Index, pandas.Index, {"data": np.array(["a"], dtype=object)})
    index = {"start": 0, "stop": 1, "step": 1} if index is None else index
    rows = Evil(base._new_Index, pandas.RangeIndex, index)
    block = Evil(internals._unpickle_block, values, slice(0, 1, 1), 2)
    manager = Evil(managers.BlockManager, (block,), [names, rows])
    return pickle.dumps(Evil(pandas.DataFrame, state={"_mgr": manager}), protocol=4)


def buffer(data: Any, dtype: Any, shape: Any) -> Evil:
    return Evil(np._core.numeric._frombuffer, data, dtype, shape, "C")  # type: ignore[attr-defined]


def test_a_table_made_by_hand() -> None:
    values = buffer(struct.pack("<q", 5), np.dtype("i8"), (1, 1))
    columns = read_pickled_frame(io.BytesIO(frame_of(values)), FILE)
    assert {name: column.tolist() for name, column in columns.items()} == {"": [0], "a": [5]}


HIDDEN = (3, "|", None, ("x",), {"x": (np.dtype(object), 0)}, 8, 1, 0)
"""the state of a type that says it has no objects and has one"""


@pytest.mark.parametrize(
    ("values", "index", "message"),
    [
        (buffer(b"A" * 8, Evil(np.dtype, "V8", False, True, state=HIDDEN), (1, 1)), None, "V8"),
        (buffer(b"A" * 8, Evil(np.dtype, "i8", False, True, state=HIDDEN), (1, 1)), None, "i8"),
        (buffer(b"A" * 8, np.dtype(object), (1, 1)), None, "no list"),
        (buffer(b"A" * 8, np.dtype("M8[s]"), (1, 1)), None, "not have the parts|M8"),
        (buffer(b"A" * 8, np.dtype("i8"), (1, 2)), None, "1 values, its shape"),
        (buffer(b"A" * 7, np.dtype("i8"), (1, 1)), None, "7 bytes"),
        (buffer(b"", np.dtype("i8"), (0, 2**60)), None, "axes"),
        (buffer(b"", np.dtype("i8"), (0, 2**40)), None, "places"),
        (buffer(b"A" * 8, np.dtype("i8"), (-1, -1)), None, "axes"),
        (buffer(b"A" * 8, "i8", (1, 1)), None, "another type"),
        (
            buffer(b"A" * 8, np.dtype("i8"), (1, 1)),
            {"start": 0, "stop": 4_000_000_000, "step": 1},
            "length of its index",
        ),
        (
            buffer(b"A" * 8, np.dtype("i8"), (1, 1)),
            {"start": 0, "stop": 2**200, "step": 1},
            "integer of 26 bytes",
        ),
    ],
)
def test_arrays_that_lie_are_refused(values: Evil, index: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_pickled_frame(io.BytesIO(frame_of(values, index)), FILE)


def doubled(open_code: bytes, close: bytes) -> bytes:
    """Pickle 60 levels of a pair whose two halves are the level below."""
    level = b"".join(open_code + b"h%ch%c" % (n, n) + close + b"\x94" for n in range(60))
    return b"\x80\x04K\x01\x94" + level + b"."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80\x04Nr\xff\xff\xff\x7f.", "holds a NoneType"),
        (b"\x80\x05\x96" + struct.pack("<Q", 30 * 2**30) + b".", "cut off"),
        (b"\x80\x05\x8e" + struct.pack("<Q", 2**63) + b".", "cut off"),
        (b"\x80\x05\x95" + struct.pack("<Q", 2**63) + b"N.", "holds a NoneType"),
        (b"\x80\x05\x97.", "instruction"),
        (b"\x80\x02\x8b" + struct.pack("<i", 2**30) + b".", "instruction"),
        (doubled(b"", b"\x86"), "holds a tuple"),
        (doubled(b"](", b"e"), "holds a list"),
        (b"\x80\x04" + b"]\x94" + b"h\x00a" + b".", "holds a list"),
        (b"\x80\x04" + b"(" * 100_000 + b".", "fit together"),
        (b"\x80\x04" + b"N" + b"\x85" * 100_000 + b".", "holds a tuple"),
        (b"\x80\x04}(K\x01K\x02u.", "keys are no texts"),
        (b"\x80\x04h\x07.", "value 7"),
        (b"\x80\x04N0.", "instruction '0'"),
        (b"\x80\x04\x8c\x03\xed\xa0\x80.", "utf-8"),
    ],
)
def test_bombs_cost_nothing(content: bytes, message: str) -> None:
    tracemalloc.start()
    start = time.process_time()
    with pytest.raises(DataError, match=message):
        read_pickled_frame(io.BytesIO(content), FILE)
    seconds, (_, peak) = time.process_time() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 5
    assert peak < 64 * 2**20


def test_many_values_that_share_their_bytes() -> None:
    scalar = pytest.importorskip("numpy._core.multiarray").scalar
    data = "A".encode("utf-32-le") * 20_000
    shared = [Evil(scalar, np.dtype("U20000"), data) for _ in range(5_000)]
    cells = np.empty((1, 1), dtype=object)
    cells[0, 0] = shared
    with pytest.raises(DataError, match="far larger than the file"):
        read_pickled_frame(io.BytesIO(frame_of(cells)), FILE)


def test_a_refused_pickle_leaves_nothing_behind() -> None:
    pandas = pytest.importorskip("pandas")
    state = {"_mgr": None, "__class__": 3, "manager": 5}
    content = pickle.dumps(Evil(pandas.DataFrame, state=state))
    with pytest.raises(DataError, match="BlockManager"):
        read_pickled_frame(io.BytesIO(content), FILE)
    test_columns_and_index_of_a_table()

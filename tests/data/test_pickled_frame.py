import io
import os
import pickle
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
    def __init__(self, call: Any, *arguments: Any) -> None:
        self.call = call
        self.arguments = arguments

    def __reduce__(self) -> Any:
        return self.call, self.arguments


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

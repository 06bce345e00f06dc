"""Read a pickled pandas table without pandas and without trusting it.

A pickle is a program: loading one may call anything it names. Here every name of pandas is answered
by a small stand-in of this file and every other name is refused, except the three of numpy that
build arrays, so that no code of the pickle's choosing runs.
"""

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from corarec.errors import DataError

Column = npt.NDArray[Any]


class _Manager:
    """Stands in for pandas' BlockManager: blocks of columns of one type, and the two axes."""

    def __init__(self, blocks: Sequence["_Block"], axes: Sequence[Column]) -> None:
        self.blocks = blocks
        self.axes = axes


class _Block:
    """Stands in for a block: `values` [columns of the block, rows] and their places."""

    def __init__(self, values: Column, places: slice | Column, ndim: int) -> None:
        self.values = values
        self.places = places
        self.ndim = ndim


class _Frame:
    """Stands in for DataFrame."""

    manager: _Manager | None = None

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.manager = state.get("_mgr")


class _Index:
    """Stands in for Index as a name; `_new_index` gives its values."""


def _new_index(kind: type, parts: dict[str, Any]) -> Column:
    if "data" in parts:
        return np.asarray(parts["data"])
    return np.arange(parts["start"], parts["stop"], parts["step"])


def _from_buffer(buffer: bytes, dtype: Any, shape: tuple[int, ...], order: Any) -> Column:
    return np.frombuffer(buffer, dtype=dtype).reshape(shape, order=order)


_STAND_INS: dict[tuple[str, str], Callable[..., Any]] = {
    ("pandas.core.frame", "DataFrame"): _Frame,
    ("pandas.core.internals.managers", "BlockManager"): _Manager,
    ("pandas._libs.internals", "_unpickle_block"): _Block,
    ("pandas.core.indexes.base", "_new_Index"): _new_index,
    ("pandas.core.indexes.base", "Index"): _Index,
    ("pandas.core.indexes.numeric", "Int64Index"): _Index,
    ("pandas.core.indexes.range", "RangeIndex"): _Index,
    # pandas 3 pickles its public names.
    ("pandas", "DataFrame"): _Frame,
    ("pandas", "Index"): _Index,
    ("pandas", "RangeIndex"): _Index,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
    ("numpy", "dtype"): np.dtype,
    ("numpy", "ndarray"): np.ndarray,
    ("builtins", "slice"): slice,
}
_FROM_NUMPY = {
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
}


class _TableUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        # numpy 2 renamed numpy.core.
        key = (module.replace("numpy.core.", "numpy._core."), name)
        if key in _STAND_INS:
            return _STAND_INS[key]
        if key in _FROM_NUMPY:
            return super().find_class(*key)
        raise _ForbiddenNameError(f"{module}.{name}")


class _ForbiddenNameError(pickle.UnpicklingError):
    pass


def read_pickled_frame(stream: IO[bytes], file: Path) -> dict[str, Column]:
    """Return the columns of a pickled DataFrame by name, and its index under the empty name.

    Parameters
    ----------
    stream
        the pickle, written by pandas 1.3 to 3
    file
        for error messages

    Raises
    ------
    DataError
        The pickle names anything but the pieces of a plain table (nothing of it has run then), is
        cut off, or holds something else.
    """
    try:
        frame = _TableUnpickler(stream).load()
    except _ForbiddenNameError as error:
        raise DataError(
            f"{file} wants to load {error}, which no plain table needs; reading stopped and "
            "nothing of it was run. Use the file only if you trust it, and convert it to Parquet "
            "yourself (pandas: pd.read_pickle(...).to_parquet(...)) for the source 'table'."
        ) from None
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{file} is not a whole pickled table ({error}).") from error
    if not isinstance(frame, _Frame) or frame.manager is None:
        raise DataError(f"{file} holds a {type(frame).__name__}, expected a pandas DataFrame.")
    names, index = frame.manager.axes
    columns: dict[str, Column] = {"": index}
    for block in frame.manager.blocks:
        places = np.arange(len(names))[block.places]
        columns |= {str(names[place]): block.values[n] for n, place in enumerate(places)}
    return columns

"""Read a pickled pandas table without pandas and without trusting it.

The pickle is taken apart into inert records (`pickle_machine`), and only those that make up a plain
table are understood here. Types of numbers come from a fixed list, and every shape is checked
against the bytes or values that are there, so that neither NumPy nor pickle ever interprets
anything of the file.
"""

import math
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from corarec.data.pickle_machine import ForbiddenNameError, Name, PickleError, Record, read_pickle
from corarec.errors import DataError
from corarec.text import printable

Column = npt.NDArray[Any]

# pandas 3 pickles its public names, numpy 2 renamed numpy.core, protocol 2 writes old names.
_FRAMES = {"pandas.core.frame.DataFrame", "pandas.DataFrame"}
_MANAGER = "pandas.core.internals.managers.BlockManager"
_BLOCK = "pandas._libs.internals._unpickle_block"
_NEW_INDEX = "pandas.core.indexes.base._new_Index"
_RANGES = {"pandas.core.indexes.range.RangeIndex", "pandas.RangeIndex"}
_INDEXES = {
    "pandas.core.indexes.base.Index",
    "pandas.core.indexes.numeric.Int64Index",
    "pandas.Index",
    *_RANGES,
}
_BACKED = "pandas._libs.arrays.__pyx_unpickle_NDArrayBacked"
_STRINGS = {
    "pandas.core.arrays.string_.StringArray",
    "pandas.arrays.StringArray",
    "pandas.core.arrays.string_.StringDtype",
    "pandas.StringDtype",
}
_MISSING = {"pandas._libs.missing.NA", "pandas.NA"}
_SLICES = {"builtins.slice", "__builtin__.slice"}
_DTYPE = "numpy.dtype"
_ARRAY = "numpy.ndarray"
_ENCODE = "_codecs.encode"
_FROM_BUFFER, _RECONSTRUCT, _SCALAR = (
    {f"numpy.{core}.{name}" for core in ("core", "_core")}
    for name in ("numeric._frombuffer", "multiarray._reconstruct", "multiarray.scalar")
)
_ALLOWED = frozenset(
    {_MANAGER, _BLOCK, _NEW_INDEX, _BACKED, _DTYPE, _ARRAY, _ENCODE}
    | _FRAMES | _INDEXES | _STRINGS | _MISSING | _SLICES | _FROM_BUFFER | _RECONSTRUCT | _SCALAR
)  # fmt: skip

_NUMBER_TYPES = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"}
LONGEST_AXIS = 2**40
COPIES = 8
"""a table out of a pickle holds at most this many times its bytes in texts made from bytes"""
_PLAIN_TYPES = {str, int, float, bool, type(None)}


def read_pickled_frame(stream: IO[bytes], file: Path) -> dict[str, Column]:
    """Return the columns of a pickled DataFrame by name, and its index under the empty name.

    Parameters
    ----------
    stream
        the pickle, written by pandas 1.3 to 3
    file
        for error messages

    Returns
    -------
    dict
        Columns of numbers as arrays of numbers; others as arrays of objects that are texts,
        numbers, None, or flat lists, tuples or arrays of these. They may be shared: only read.

    Raises
    ------
    DataError
        The pickle names anything but the pieces of a plain table, is cut off, or holds something
        else. Nothing of a pickle is ever run.
    """
    try:
        content = stream.read()
        return _Reader(COPIES * len(content)).frame(read_pickle(content, _ALLOWED))
    except ForbiddenNameError as error:
        raise DataError(
            f"{file} wants to load {printable(error, 200)}, which no plain table needs; reading "
            "stopped and nothing of it was run. Use the file only if you trust it, and convert it "
            "to Parquet yourself (pandas: pd.read_pickle(...).to_parquet(...)) for the source "
            "'table'."
        ) from None
    except ValueError as error:
        raise DataError(f"{file} is not a whole pickled table ({printable(error)}).") from error


class _Reader:
    """Turns records into arrays, each shared value once, so that sharing costs no memory."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        """bytes that may be turned into texts or copied: many values may share the same ones"""
        self._known: dict[tuple[int, bool], Any] = {}
        """by identity, which the value being read keeps from being reused, and whether in a cell"""

    def frame(self, value: Any) -> dict[str, Column]:
        if not isinstance(value, Record) or value.path not in _FRAMES:
            kind = value.path if isinstance(value, Record | Name) else type(value).__name__
            raise PickleError(f"it holds a {kind}, expected a pandas DataFrame")
        manager = value.state.get("_mgr") if isinstance(value.state, dict) else None
        blocks, axes = _call(manager, {_MANAGER}, tuple, list)
        columns_axis, index_axis = _typed(tuple(axes), Record, Record)
        names = [name for name in self._axis(columns_axis) if type(name) is str and name]
        if len(names) != len(self._axis(columns_axis)):
            raise PickleError("the names of its columns are not texts")
        found: dict[str, Column] = {}
        for block in blocks:
            values, places = self._block(block, len(names))
            if len(found) + len(places) > len(names):
                raise PickleError("it has more columns than names of them")
            found |= {names[place]: column for place, column in zip(places, values, strict=True)}
        if not len(found) == len(names) > 0:
            raise PickleError(f"it names {len(names)} columns and has {len(found)}")
        index = self._axis(index_axis)
        if any(len(column) != len(index) for column in found.values()):
            raise PickleError("its columns do not have the length of its index")
        return {"": np.asarray(index)} | {name: found[name] for name in names}

    def _axis(self, value: Record) -> Column | range:
        kind, parts = _call(value, {_NEW_INDEX}, Name, dict)
        if kind.path in _RANGES:
            bounds = tuple(parts.get(name) for name in ("start", "stop", "step"))
            return _counted(*_typed(bounds, int, int, int))
        values = self._array(parts.get("data"))
        if kind.path not in _INDEXES or values.ndim != 1:
            raise PickleError(f"it has a {kind.path} of {values.ndim} axes as its index")
        return values

    def _block(self, value: Any, num_columns: int) -> tuple[Column, list[int]]:
        """Return values [columns of the block, rows] and the places of the columns."""
        inner, where, _ = _call(value, {_BLOCK}, Record, Record, int)
        values = np.atleast_2d(self._array(inner))
        if where.path in _SLICES:
            bounds = slice(*_typed(where.arguments, *(int | None,) * 3))
            places = list(range(*bounds.indices(num_columns)))
        else:
            given = self._array(where)
            if given.dtype.kind not in "iu" or given.ndim != 1 or len(given) > num_columns:
                raise PickleError("the places of its columns are not whole numbers")
            places = given.tolist()
        if len(places) != len(values) or not all(0 <= place < num_columns for place in places):
            raise PickleError("it has columns in places that there are not")
        return values, places

    def _array(self, value: Any, *, in_cell: bool = False) -> Column:
        if not isinstance(value, Record):
            raise PickleError(f"it has a {type(value).__name__} where an array belongs")
        key = id(value), in_cell
        if key not in self._known:
            self._known[key] = self._read_array(value, in_cell=in_cell)
        array: Column = self._known[key]
        return array

    def _read_array(self, value: Record, *, in_cell: bool) -> Column:
        if value.path == _BACKED:
            state = value.state if isinstance(value.state, tuple) else ()
            kind, value = _typed(state[:2], Record, Record)
            if kind.path not in _STRINGS:
                raise PickleError(f"it has a column of the type {kind.path}")
        if value.path in _FROM_BUFFER:
            data, kind, shape, order = _typed(value.arguments, object, Record, tuple, str)
            is_fortran = order == "F"
        elif value.path in _RECONSTRUCT:
            _, shape, kind, is_fortran, data = _typed(value.state, int, tuple, Record, bool, object)
        else:
            raise PickleError(f"it has a {value.path} where an array belongs")
        dtype = _dtype(kind)
        if dtype.hasobject:
            flat = self._objects(data, in_cell=in_cell)
        else:
            flat = _numbers(self._bytes(data), dtype)
        if len(shape) not in (1, 2) or not all(
            type(size) is int and 0 <= size <= LONGEST_AXIS for size in shape
        ):
            raise PickleError("an array has not one or two axes")
        if math.prod(shape) != len(flat):
            raise PickleError(f"an array has {len(flat)} values, its shape asks for other ones")
        return flat.reshape(shape, order="F" if is_fortran else "C")

    def _objects(self, data: Any, *, in_cell: bool) -> Column:
        if type(data) is not list:
            raise PickleError("an array of objects has no list of them")
        key = id(data), in_cell
        if key not in self._known:
            values = np.empty(len(data), dtype=object)
            for n, value in enumerate(data):
                values[n] = self._scalar(value) if in_cell else self._cell(value)
            self._known[key] = values
        array: Column = self._known[key]
        return array

    def _cell(self, value: Any) -> Any:
        if type(value) in (list, tuple):
            key = id(value), True
            if key not in self._known:
                is_plain = _PLAIN_TYPES.issuperset(map(type, value))
                self._known[key] = value if is_plain else [self._scalar(entry) for entry in value]
            return self._known[key]
        if isinstance(value, Record) and value.path not in _SCALAR:
            return self._array(value, in_cell=True)
        return self._scalar(value)

    def _scalar(self, value: Any) -> Any:
        if type(value) in _PLAIN_TYPES:
            return value
        if isinstance(value, Name) and value.path in _MISSING:
            return None
        key = id(value), True
        if key not in self._known:
            self._known[key] = self._number(value)
        return self._known[key]

    def _number(self, value: Any) -> str | int | float | bool:
        """Return the one value of a scalar of NumPy."""
        kind, data = _call(value, _SCALAR, Record, object)
        name, order = _type(kind)
        if name.startswith("U"):
            text = self._spend(self._bytes(data))
            return text.decode("utf-32-be" if order == ">" else "utf-32-le").rstrip("\0")
        dtype = _dtype(kind)
        if dtype.hasobject or len(numbers := _numbers(self._bytes(data), dtype)) != 1:
            raise PickleError("a number does not have the bytes of one")
        number: int | float | bool = numbers.item()
        return number

    def _bytes(self, data: Any) -> bytes:
        if isinstance(data, Record):
            # Protocol 2 has no bytes: it writes them as a text and a call that encodes it.
            text, encoding = _call(data, {_ENCODE}, str, str)
            data = self._spend(text.encode("latin-1")) if encoding == "latin1" else None
        if type(data) is not bytes:
            raise PickleError("an array or a number has no bytes")
        return data

    def _spend(self, data: bytes) -> bytes:
        self._budget -= len(data)
        if self._budget < 0:
            raise PickleError("its values are far larger than the file")
        return data


def _typed(values: Any, *types: Any) -> Any:
    """Return `values`, a tuple of just these types."""
    if type(values) is not tuple or len(values) != len(types):
        raise PickleError("a piece of it does not have the parts that it must have")
    if not all(map(isinstance, values, types)):
        raise PickleError("a part of it is of another type than it must be")
    return values


def _call(value: Any, paths: set[str], *types: Any) -> Any:
    """Return the arguments of a call of one of `paths`, a tuple of just these types."""
    if not isinstance(value, Record) or value.path not in paths:
        raise PickleError(f"it lacks a {min(paths)} where one belongs")
    return _typed(value.arguments, *types)


def _counted(start: int, stop: int, step: int) -> range:
    if step == 0 or max(abs(start), abs(stop), abs(step)) >= 2**61:
        raise PickleError("its index counts in a way that none does")
    return range(start, stop, step)


def _type(value: Record) -> tuple[str, str]:
    """Return the name and the byte order of a type of NumPy."""
    name, _, _ = _call(value, {_DTYPE}, str, object, object)
    if value.state is None:
        return name, "="
    _, order, *rest = _typed(value.state, int, str, *(object,) * 6)
    is_text = name.startswith("U")
    if rest[:3] != [None] * 3 or not (is_text or rest[3:5] == [-1, -1]):
        raise PickleError(f"it has a type {name!r} with parts of its own")
    return name, "=" if order == "|" else order


def _dtype(value: Record) -> np.dtype[Any]:
    """Return a type out of the fixed list, in the byte order that is asked for."""
    name, order = _type(value)
    if name in ("O8", "O"):
        return np.dtype(object)
    if name not in _NUMBER_TYPES or order not in ("<", ">", "="):
        raise PickleError(f"it has values of the type {name!r}; numbers and objects can be read")
    return np.dtype(name if order == "=" else f"{order}{name}")


def _numbers(data: bytes, dtype: np.dtype[Any]) -> Column:
    if len(data) % dtype.itemsize:
        raise PickleError(f"{len(data)} bytes are no whole number of values of the type {dtype}")
    return np.frombuffer(data, dtype)

import pickle
from typing import Any

import pytest

from corarec.data.pickle_machine import (
    ForbiddenNameError,
    Name,
    PickleError,
    Record,
    read_pickle,
)

VALUES: list[Any] = [
    *(None, True, False, 0, 255, 65_535, -1, 2**31 - 1, -(2**31), 2**62, -(2**63), 0.5),
    *("", "é", "x" * 300, b"", b"y" * 300, (), (1,), (1, 2, 3, 4), []),
    *([1, [2, (3, "a")]], {"a": [1], "b": {"c": None}}, list(range(3_000))),
]


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_plain_values(value: Any, protocol: int) -> None:
    assert read_pickle(pickle.dumps(value, protocol=protocol), set()) == value


def test_shared_and_circular_values() -> None:
    inner = [1]
    value: list[Any] = [inner, inner]
    value.append(value)
    read = read_pickle(pickle.dumps(value), set())
    assert read[0] is read[1]
    assert read[2] is read


def test_calls_are_written_down_and_not_made() -> None:
    content = pickle.dumps(slice(1, 2, 3))
    record = read_pickle(content, {"builtins.slice"})
    assert isinstance(record, Record)
    assert (record.path, record.arguments, record.state) == ("builtins.slice", (1, 2, 3), None)
    assert isinstance(read_pickle(pickle.dumps(slice), {"builtins.slice"}), Name)
    with pytest.raises(ForbiddenNameError, match=r"^builtins\.slice$"):
        read_pickle(content, set())


def test_every_cut_is_an_error() -> None:
    content = pickle.dumps({"a": [1, 2.5, "é", b"b", (slice(1), 2**40)]})
    assert read_pickle(content, {"builtins.slice"})
    for size in range(len(content)):
        with pytest.raises(PickleError):
            read_pickle(content[:size], {"builtins.slice"})


def test_every_changed_byte_is_an_error_or_a_plain_value() -> None:
    content = pickle.dumps({"a": [1, 2.5, "é", b"b", (slice(1), 2**40)]})
    for place in range(len(content)):
        for change in (1, 16, 128, 255):
            changed = bytearray(content)
            changed[place] ^= change
            try:
                read_pickle(bytes(changed), {"builtins.slice"})
            except (PickleError, UnicodeDecodeError):
                continue


def test_too_many_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corarec.data.pickle_machine.MOST_OBJECTS", 10)
    with pytest.raises(PickleError, match="more than 10 lists"):
        read_pickle(b"\x80\x04](" + b"]" * 10 + b"e.", set())

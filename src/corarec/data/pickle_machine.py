"""Take a pickle apart without running it: its values as plain Python values and inert records.

A pickle is a program for a stack machine that may import and call anything. This machine knows the
instructions that a table needs, and where the program asks for a call it writes down what was to be
called, with what. Nothing is imported, called or built, so a pickle can do no more than be long.
"""

import struct
from collections.abc import Container
from struct import Struct
from typing import Any

MOST_OBJECTS = 20_000_000
"""containers and records in one pickle: some two gigabytes"""
LONGEST_INTEGER = 9
"""bytes; 64 bits with a sign"""


class PickleError(ValueError):
    """The bytes are not a pickle of plain values and known names."""


class ForbiddenNameError(PickleError):
    """The pickle asks for a name that was not allowed; the message is the name."""


class Name:
    """A name that the pickle asked for, such as `numpy.dtype`; it stands for nothing."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path


class Record:
    """A call that the pickle asked for: of what, with which arguments, and the state set later."""

    __slots__ = ("arguments", "path", "state")

    def __init__(self, path: str, arguments: tuple[Any, ...]) -> None:
        self.path = path
        self.arguments = arguments
        self.state: Any = None


STOP, MEMOIZE, BINGET, LONG_BINGET, BININT1 = ord("."), 0x94, ord("h"), ord("j"), ord("K")
UNSIGNED_4 = Struct("<I").unpack_from
_MARK = object()
_FIXED = {ord(code): Struct(form) for code, form in {"M": "<H", "J": "<i", "G": ">d"}.items()}
_CONSTANTS = {ord("N"): None, 0x88: True, 0x89: False, ord(")"): ()}
_TEXTS = {0x8C: Struct("<B"), ord("X"): Struct("<I"), 0x8D: Struct("<Q")}
_BYTES = {ord("C"): Struct("<B"), ord("B"): Struct("<I"), 0x8E: Struct("<Q"), 0x96: Struct("<Q")}
_PUTS = {ord("q"): Struct("<B"), ord("r"): Struct("<I")}
_SIZED_TUPLES = {0x85: 1, 0x86: 2, 0x87: 3}
_SKIPPED = {0x80: 1, 0x95: 8}
"""bytes after the protocol's number and after a frame's size, which only help buffered reading"""


def read_pickle(content: bytes, allowed: Container[str]) -> Any:
    """Return what a pickle of protocol 2 or later holds.

    Parameters
    ----------
    content
        the whole pickle
    allowed
        full names that may occur, such as `numpy.dtype`

    Returns
    -------
    Any
        None, bool, int, float, str, bytes, tuple, list, dict with texts as keys, `Name` or
        `Record`. Values may be shared, and may hold themselves: walk them with care.

    Raises
    ------
    ForbiddenNameError
        The pickle names something else.
    PickleError
        The content is cut off, has other instructions or is too large.
    """
    return _Machine(content, allowed).run()


class _Machine:
    def __init__(self, content: bytes, allowed: Container[str]) -> None:
        self.content = content
        self.allowed = allowed
        self.at = 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.objects = 0

    def run(self) -> Any:
        try:
            return self._run()
        except (IndexError, struct.error):
            raise PickleError("it is cut off") from None
        except KeyError as error:
            raise PickleError(f"it refers to a value {error} that it does not have") from None

    def _run(self) -> Any:
        # Millions of instructions: what is frequent is done here, without a call.
        content, stack, memo = self.content, self.stack, self.memo
        push = stack.append
        at = 0
        while (code := content[at]) != STOP:
            at += 1
            if code == LONG_BINGET:
                push(memo[UNSIGNED_4(content, at)[0]])
                at += 4
            elif code == MEMOIZE:
                memo[len(memo)] = self._top()
            elif code == BININT1:
                push(content[at])
                at += 1
            elif code == BINGET:
                push(memo[content[at]])
                at += 1
            elif code in _CONSTANTS:
                push(_CONSTANTS[code])
            else:
                self.at = at
                self._build(code)
                at = self.at
        return self._pop()

    def _build(self, code: int) -> None:
        """Carry out any other instruction."""
        if code in _FIXED:
            self.stack.append(self._number(_FIXED[code]))
        elif code in _TEXTS:
            self.stack.append(self._take(self._number(_TEXTS[code])).decode("utf-8"))
        elif code in _BYTES:
            self.stack.append(self._take(self._number(_BYTES[code])))
        elif code in _PUTS:
            self.memo[self._number(_PUTS[code])] = self._top()
        elif code in _SKIPPED:
            self._take(_SKIPPED[code])
        else:
            self._put_together(code)

    def _put_together(self, code: int) -> None:
        match code:
            case 0x28:  # MARK
                self.stack.append(_MARK)
            case 0x5D:  # EMPTY_LIST
                self._push([])
            case 0x7D:  # EMPTY_DICT
                self._push({})
            case 0x61:  # APPEND
                value = self._pop()
                self._target(list).append(value)
            case 0x65:  # APPENDS
                values = self._since_mark()
                self._target(list).extend(values)
            case 0x74:  # TUPLE
                self._push(tuple(self._since_mark()))
            case 0x85 | 0x86 | 0x87:  # TUPLE1 to TUPLE3
                values = [self._pop() for _ in range(_SIZED_TUPLES[code])]
                self._push(tuple(reversed(values)))
            case 0x73:  # SETITEM
                value, key = self._pop(), self._pop()
                self._set_items([key, value])
            case 0x75:  # SETITEMS
                self._set_items(self._since_mark())
            case 0x63:  # GLOBAL
                self._name(self._line(), self._line())
            case 0x93:  # STACK_GLOBAL
                name, module = self._pop(), self._pop()
                self._name(module, name)
            case 0x52 | 0x81:  # REDUCE, NEWOBJ
                arguments, name = self._pop(), self._pop()
                if not isinstance(name, Name) or type(arguments) is not tuple:
                    raise PickleError("it calls what is no name")
                self._push(Record(name.path, arguments))
            case 0x62:  # BUILD
                state = self._pop()
                record = self._target(Record)
                if record.state is not None:
                    raise PickleError("it sets a state twice")
                record.state = state
            case 0x8A:  # LONG1
                size = self._take(1)[0]
                if size > LONGEST_INTEGER:
                    raise PickleError(f"it has an integer of {size} bytes")
                self.stack.append(int.from_bytes(self._take(size), "little", signed=True))
            case _:
                raise PickleError(
                    f"byte {self.at - 1} is the instruction {chr(code)!r}, which no table pickled "
                    "with protocol 2 to 5 has"
                )

    def _take(self, size: int) -> bytes:
        taken = self.content[self.at : self.at + size]
        if len(taken) != size:
            raise PickleError("it is cut off")
        self.at += size
        return taken

    def _number(self, form: Struct) -> Any:
        return form.unpack(self._take(form.size))[0]

    def _line(self) -> str:
        end = self.content.find(b"\n", self.at)
        if end < 0:
            raise PickleError("it is cut off")
        return self._take(end + 1 - self.at)[:-1].decode("utf-8", "replace")

    def _push(self, value: Any) -> None:
        self.objects += 1
        if self.objects > MOST_OBJECTS:
            raise PickleError(f"it has more than {MOST_OBJECTS:,} lists and other objects")
        self.stack.append(value)

    def _top(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise PickleError("its instructions do not fit together")
        return self.stack[-1]

    def _pop(self) -> Any:
        value = self._top()
        self.stack.pop()
        return value

    def _target(self, kind: type) -> Any:
        """Return the value on top, which is to be added to and must be a `kind`."""
        value = self._top()
        if type(value) is not kind:
            raise PickleError(
                f"it adds to a {type(value).__name__} as if it were a {kind.__name__}"
            )
        return value

    def _since_mark(self) -> list[Any]:
        place = len(self.stack) - 1
        while place >= 0 and self.stack[place] is not _MARK:
            place -= 1
        if place < 0:
            raise PickleError("its instructions do not fit together")
        values = self.stack[place + 1 :]
        del self.stack[place:]
        return values

    def _set_items(self, values: list[Any]) -> None:
        keys = values[::2]
        if len(values) % 2 or any(type(key) is not str for key in keys):
            raise PickleError("it has a dictionary whose keys are no texts")
        self._target(dict).update(zip(keys, values[1::2], strict=True))

    def _name(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            raise PickleError("it asks for a name that is no text")
        path = f"{module}.{name}"
        if path not in self.allowed:
            raise ForbiddenNameError(path)
        self._push(Name(path))

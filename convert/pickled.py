"""A pickle machine that can only rebuild plain data and arrays.

A pickle is a program for a stack machine that may import and call anything. Instead of taming
Python's own machine, this one knows just the instructions that data is written with, and the few
names that arrays are made of, each as a stand-in: no constructor and no unpickling code of any
library runs on the file's data, and any other name ends the reading before it is looked up.
Memory and time are bounded by the size of the file and by the limits below, so that a small file
cannot blow up.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, cast

import numpy as np

from convert.stand_ins import STAND_INS, Foreign, StoredArray, StoredType, mapping
from models.errors import CheckpointError, UnsafePickle

MAX_INSTRUCTIONS = 2_000_000
"""A tensor takes about 30, so that 60 000 of them are read."""
MAX_DEPTH = 32
MAX_NODES = 2_000_000
MAX_GROWTH = 8
"""Arrays may be shared, but all entries together are at most this many times the file."""
_SPARE_BYTES = 1 << 20
_LONGEST_LINE = 4096


class _Mark:
    """What MARK leaves on the stack."""


@dataclass(frozen=True, slots=True)
class _Name:
    """A name that the file mentions, and what stands in for it."""

    call: Callable[..., Any]


def _named(module: object, name: object) -> _Name:
    if not isinstance(module, str) or not isinstance(name, str):
        raise UnsafePickle("it names something that is not a name")
    try:
        return _Name(STAND_INS[module, name])
    except KeyError:
        raise UnsafePickle(
            f"it names {module[:80]}.{name[:80]}, which is no part of an array"
        ) from None


class _Bounded:
    """A file of which no more is read than it holds."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._size = size

    def tell(self) -> int:
        return self._file.tell()

    def read(self, count: int) -> bytes:
        if count > self._size - self._file.tell():
            raise EOFError(f"it ends after {self._size} bytes")
        return self._file.read(count)

    def line(self) -> str:
        line = self._file.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise EOFError("a line in it does not end")
        return line[:-1].decode("utf-8")


_INSTRUCTIONS = {instruction.code: instruction for instruction in pickletools.opcodes}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = (
    *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
)
_SHORT_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Machine:
    """The stack, the memo, and one method for each kind of instruction.

    Args:
        budget: Bytes and entries that calls may make; arguments may be shared, results are not.
    """

    def __init__(self, budget: int) -> None:
        self.stack: list[Any] = []
        self._budget = budget
        self._memo: dict[int, Any] = {}
        self._do: dict[str, Callable[[Any], None]] = {
            "PROTO": self._nothing,
            "FRAME": self._nothing,
            "STOP": self._nothing,
            "MARK": lambda _: self.stack.append(_Mark()),
            "POP": lambda _: self._pop_any(),
            "POP_MARK": lambda _: self._drop(),
            "DUP": lambda _: self.stack.append(self.stack[-1]),
            "BINPUT": self._put,
            "LONG_BINPUT": self._put,
            "MEMOIZE": lambda _: self._put(len(self._memo)),
            "BINGET": self._get,
            "LONG_BINGET": self._get,
            "BYTEARRAY8": lambda content: self.stack.append(bytes(content)),
            "EMPTY_LIST": lambda _: self.stack.append([]),
            "EMPTY_DICT": lambda _: self.stack.append({}),
            "EMPTY_SET": lambda _: self.stack.append(Foreign("a set")),
            "LIST": lambda _: self.stack.append(self._marked()),
            "TUPLE": lambda _: self.stack.append(tuple(self._marked())),
            "FROZENSET": lambda _: self.stack.append(STAND_INS["builtins", "set"](self._marked())),
            "DICT": lambda _: self.stack.append(mapping(_pairs(self._marked()))),
            "APPEND": lambda _: self._append([self._pop()]),
            "APPENDS": lambda _: self._append(self._marked()),
            "SETITEM": lambda _: self._set_items([self._pop(), self._pop()][::-1]),
            "SETITEMS": lambda _: self._set_items(self._marked()),
            "ADDITEMS": lambda _: self._add_items(self._marked()),
            "GLOBAL": self._global,
            "STACK_GLOBAL": lambda _: self._stack_global(),
            "REDUCE": lambda _: self._reduce(),
            "BUILD": lambda _: self._build(),
        }
        self._do.update(dict.fromkeys(_LITERALS, self.stack.append))

    def knows(self, instruction: str) -> bool:
        """Whether data is written with this instruction."""
        return instruction in self._do or instruction in _CONSTANTS or instruction in _SHORT_TUPLES

    def step(self, instruction: str, argument: Any) -> None:
        """Carry out one instruction that it knows."""
        if instruction in _CONSTANTS:
            self.stack.append(_CONSTANTS[instruction])
        elif instruction in _SHORT_TUPLES:
            items = [self._pop() for _ in range(_SHORT_TUPLES[instruction])]
            self.stack.append(tuple(items[::-1]))
        else:
            self._do[instruction](argument)

    def _nothing(self, argument: Any) -> None:
        del argument

    def _pop(self) -> Any:
        value = self.stack.pop()
        if isinstance(value, _Mark):
            raise CheckpointError("its instructions do not fit together")
        return value

    def _pop_any(self) -> None:
        self.stack.pop()

    def _marked(self) -> list[Any]:
        items = []
        while not isinstance(value := self.stack.pop(), _Mark):
            items.append(value)
        return items[::-1]

    def _drop(self) -> None:
        self._marked()

    def _put(self, index: Any) -> None:
        self._memo[index] = self.stack[-1]

    def _get(self, index: Any) -> None:
        self.stack.append(self._memo[index])

    def _top(self, kind: type) -> Any:
        if not isinstance(self.stack[-1], kind):
            raise CheckpointError("its instructions do not fit together")
        return self.stack[-1]

    def _append(self, items: list[Any]) -> None:
        self._top(list).extend(items)

    def _set_items(self, items: list[Any]) -> None:
        self._top(dict).update(mapping(_pairs(items)))

    def _add_items(self, items: list[Any]) -> None:
        del items
        self._top(Foreign)

    def _global(self, both: Any) -> None:
        self.stack.append(_named(*both))

    def _stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        self.stack.append(_named(module, name))

    def _reduce(self) -> None:
        arguments, callee = self._pop(), self._pop()
        if not isinstance(callee, _Name) or not isinstance(arguments, tuple):
            raise UnsafePickle("it calls something that is not a name")
        result = callee.call(*arguments)
        self.stack.append(result)
        self._spend(result)

    def _build(self) -> None:
        state, target = self._pop(), self.stack[-1]
        if isinstance(target, StoredType | StoredArray):
            target.set_state(state)
            self._spend(target)
        elif not isinstance(target, dict):  # attributes of an OrderedDict are of no interest
            raise UnsafePickle(f"it sets the state of a {type(target).__name__}")

    def _spend(self, made: object) -> None:
        if isinstance(made, bytes | tuple | dict):
            self._budget -= len(made)
        elif isinstance(made, StoredArray) and isinstance(made.value, np.ndarray):
            self._budget -= made.value.nbytes
        if self._budget < 0:
            raise CheckpointError("it unpacks to more than it holds")


def _pairs(items: list[Any]) -> list[tuple[Any, Any]]:
    return list(zip(items[::2], items[1::2], strict=True))


def _argument(instruction: pickletools.OpcodeInfo, source: _Bounded) -> Any:
    if instruction.name == "GLOBAL":  # read here, because the reader of pickletools unescapes
        return source.line(), source.line()
    return instruction.arg.reader(cast("IO[bytes]", source)) if instruction.arg else None


class _Frames:
    """The frames of protocol 4: pieces of the file, each of whole instructions, with its length.

    A byte that is lost in the middle of an array would otherwise go unnoticed: the next
    instruction, which often is of no consequence, would take its place.

    Args:
        size: Length of the file in bytes.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._end: int | None = None

    def begin(self, position: int, length: int) -> None:
        """A frame of a length begins here."""
        if self._end is not None or length > self._size - position:
            raise ValueError(f"a frame of {length} bytes does not fit at byte {position}")
        self._end = position + length

    def between_instructions(self, position: int) -> None:
        """One instruction has ended here; the next one may belong to another frame."""
        if self._end is not None and position >= self._end:
            if position > self._end:
                raise ValueError(f"an instruction runs past the end of its frame, byte {self._end}")
            self._end = None

    def end(self, position: int) -> None:
        """The last instruction has ended here."""
        self.between_instructions(position)
        if self._end is not None:
            raise ValueError(f"it ends at byte {position}, its last frame at {self._end}")


def load_plain(file: IO[bytes], size: int) -> object:
    """Rebuild the data that a pickle holds.

    Args:
        file: The pickle, protocol 2 to 5, of Python 2 or 3.
        size: Its length in bytes.

    Returns:
        Dicts, lists, tuples, text, bytes, numbers, None, read-only arrays of numbers, and
        `Foreign` for what is none of these. Numbers of numpy's own types are plain numbers.

    Raises:
        UnsafePickle: The pickle names something that is not part of an array, or calls.
        CheckpointError: It is no data, or exceeds the limits of this module.
        EOFError: It ends too early.
        IndexError, KeyError, TypeError, ValueError: It is damaged.
    """
    machine = _Machine(budget=2 * size + _SPARE_BYTES)
    source = _Bounded(file, size)
    frames = _Frames(size)
    for _ in range(MAX_INSTRUCTIONS):
        code = source.read(1).decode("latin1")
        if code not in _INSTRUCTIONS:
            raise ValueError(f"no instruction has the code {code!r}")
        instruction = _INSTRUCTIONS[code]
        if not machine.knows(instruction.name):
            raise UnsafePickle(
                f"it uses the instruction {instruction.name}, which data does not need"
            )
        argument = _argument(instruction, source)
        machine.step(instruction.name, argument)
        if instruction.name == "STOP":
            frames.end(source.tell())
            break
        if instruction.name == "FRAME":
            frames.begin(source.tell(), argument)
        else:
            frames.between_instructions(source.tell())
    else:
        raise CheckpointError(f"it has more than {MAX_INSTRUCTIONS} instructions")
    if len(machine.stack) != 1:
        raise CheckpointError("its instructions do not fit together")
    (content,) = machine.stack
    return _Walk(budget=MAX_GROWTH * size + _SPARE_BYTES).plain(content, 0)


class _Walk:
    """Replace the stand-ins inside a value; counts, so that shared parts cannot multiply.

    Args:
        budget: Bytes that all arrays together may have.
    """

    def __init__(self, budget: int) -> None:
        self._nodes = 0
        self._budget = budget

    def plain(self, value: object, depth: int) -> object:
        self._nodes += 1
        if depth > MAX_DEPTH:
            raise CheckpointError(
                f"it is nested more than {MAX_DEPTH} levels deep, or contains itself"
            )
        if self._nodes > MAX_NODES:
            raise CheckpointError(f"it has more than {MAX_NODES} entries")
        if isinstance(value, dict):
            return {key: self.plain(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list):
            return [self.plain(item, depth + 1) for item in value]
        if isinstance(value, tuple):
            return tuple(self.plain(item, depth + 1) for item in value)
        if isinstance(value, StoredArray):
            return self._finished(value)
        if isinstance(value, StoredType | _Name | _Mark):
            return Foreign("a type or a function")
        return value

    def _finished(self, array: StoredArray) -> object:
        if array.value is None:
            raise CheckpointError("an array is stored in an unknown way")
        if isinstance(array.value, Foreign):
            return array.value
        self._budget -= array.value.nbytes
        if self._budget < 0:
            raise CheckpointError(f"its arrays are more than {MAX_GROWTH} times larger than it")
        return array.value.item() if array.scalar else array.value

"""
Exceptions as data: what ``dump_error`` keeps of one, which is all that ``revival`` has to rebuild it from.

A record is JSON of our codec, with one tag of its own, "error", for an exception inside of another::

    {"type": ["shop.errors", "CardDeclined"], "message": "...", "traceback": "...",
     "args": [...],              absent if one of them is not serialisable
     "attrs": {"code": 51},      of the instance's __dict__ those that are serialisable
     "cause": {...} or 0,        __cause__: a record, or the place of an enclosing exception, counted from the outermost
     "clipped": true,            only the texts are left, as the rest was too large, or was erased
     "step": 3, "undone": true}  of a run's own failure: from where a retry goes on, see ``Origin``
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, TypeVar

from django.utils.functional import Promise

from durable_workflows.conf import config
from durable_workflows.exceptions import NotSerializable
from durable_workflows.serializers.encoding import Encoder
from durable_workflows.serializers.wire import TAG, VALUE, from_json, is_text, pack, to_json, unpack


class Origin(NamedTuple):
    """
    The step of a run that made it fail.

    :param undone: whether it is the first of a saga's block, which was undone then.
    """

    step: int
    undone: bool = False


T = TypeVar("T")
P = ParamSpec("P")
Record = dict[str, Any]

_LOST: Any = object()  # what there is none of, or what is not serialisable
_WHAT = "attribute of an exception"
_DEPTH = 4  # exceptions within exceptions, the outermost included
_FRAMES = 64
_TRACEBACK_CHARACTERS = 20_000
_NAME_CHARACTERS = 200
# In the worst case a character takes 12 bytes: a pair of escaped surrogates.
_BYTES_PER_CHARACTER = 12


def dump_error(error: BaseException, origin: Origin | None = None) -> str:
    """
    What rows keep of an exception: class, message, arguments, plain attributes, cause, traceback text.

    Never raises, whatever the exception's own code does (only Ctrl-C gets through); what cannot be had is left out. Of an
    error above the setting ``PAYLOAD_MAX_BYTES`` only the texts are kept, clipped.

    :param error: the exception. Its attributes are read from its ``__dict__``, its own methods are not asked, but for
        ``__str__``.
    :param origin: of a run's own failure: from where a retry is to go on; see ``origin_of``.
    """
    limit, whence = config().payload_max_bytes, {} if origin is None else origin._asdict()
    for make in (_whole_record, _clipped_record):
        record = attempt({}, make, error, limit)
        text = attempt("", to_json, record and record | whence)
        if record and text and len(text) <= limit:
            return pack(text)
    return pack(to_json({"type": ["builtins", "Exception"], "message": "", "clipped": True} | whence))


def erased_error(text: str) -> str:
    """
    What stands for a recorded exception that was erased: its class alone.

    :param text: what the row holds.
    """
    kind = attempt(None, lambda: from_json(unpack(text))["type"])
    named = isinstance(kind, list) and len(kind) == 2 and all(isinstance(part, str) for part in kind)
    return pack(to_json({"type": kind if named else ["builtins", "Exception"], "message": "(erased)", "clipped": True}))


def lost_of(error: BaseException) -> list[str]:
    """What ``dump_error`` leaves out of an exception and those within it: attributes by class and name, arguments, causes."""
    recorder = _Recorder(config().payload_max_bytes)
    attempt(None, recorder.record, error)
    return recorder.lost


def attempt(default: T, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What the call returns, or ``default`` if it raises anything at all: the code behind it is a stranger's."""
    try:
        return call(*args, **kwargs)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001  a __str__ may raise SystemExit too
        return default


def _whole_record(error: BaseException, limit: int) -> Record:
    recorder = _Recorder(limit)
    record = recorder.record(error) | {"traceback": _traceback_of(error)}
    return {} if recorder.is_full else record


def _clipped_record(error: BaseException, limit: int) -> Record:
    room = max(0, limit - 2 * _NAME_CHARACTERS - 100) // (2 * _BYTES_PER_CHARACTER)
    return {
        "type": [part[:_NAME_CHARACTERS] for part in _type_of(error)],
        "message": clip(message_of(error), room),
        "traceback": clip(_traceback_of(error), room),
        "clipped": True,
    }


def clip(text: str, room: int) -> str:
    """``text`` in at most ``room`` characters: its beginning and its longer end, where tracebacks say most."""
    cut = "\n... clipped ...\n"
    if len(text) <= room:
        return text
    head = room // 4
    tail = room - head - len(cut)
    return text[:head] + cut + text[-tail:] if tail > 0 else text[:room]


class _Recorder:
    """Makes the record of one exception, and of those within it."""

    def __init__(self, limit: int) -> None:
        self._limit = self._room = limit
        self._stack: list[BaseException] = []
        self.lost: list[str] = []

    @property
    def is_full(self) -> bool:
        """Whether exceptions within were left out for their number; half of them would be worse than their text alone."""
        return self._room < 0

    def record(self, error: BaseException) -> Record:
        """
        The record, without a traceback.

        :raises NotSerializable: if exceptions within exceptions go too deep, or its text would not come back.
        """
        message = message_of(error)
        self._room -= len(message) + 200
        if self.is_full or len(self._stack) >= _DEPTH:
            raise NotSerializable("There are too many exceptions within this one.")
        if not is_text(message) and from_json(to_json(message)) != message:
            raise NotSerializable("Two halves of a surrogate pair come back as one character.")
        self._stack.append(error)
        try:
            return {"type": _type_of(error), "message": message} | self._parts(error)
        finally:
            self._stack.pop()

    def _parts(self, error: BaseException) -> Record:
        parts = {
            "args": self._kept(error, "args", self._arguments, error),
            "attrs": attempt(_LOST, self._attributes, error),
            "cause": self._cause(error),
        }
        return {name: part for name, part in parts.items() if part is not _LOST}

    def _kept(self, error: BaseException, name: str, record: Callable[[Any], Any], value: Any) -> Any:
        """What ``record`` makes of a value; if it cannot, its name is noted."""
        made = attempt(_LOST, record, value)
        if made is _LOST:
            self.lost.append(f"{_type_of(error)[1]}.{name}")
        return made

    def _arguments(self, error: BaseException) -> Any:
        return self._encode(_arguments_of(error))

    def _attributes(self, error: BaseException) -> Any:
        given = object.__getattribute__(error, "__dict__")
        named = {name: value for name, value in given.items() if type(name) is str and is_text(name)}
        coded = {name: self._kept(error, name, self._encode, value) for name, value in named.items()}
        return {name: value for name, value in coded.items() if value is not _LOST} or _LOST

    def _cause(self, error: BaseException) -> Any:
        cause = BaseException.__dict__["__cause__"].__get__(error)
        return _LOST if cause is None else self._kept(error, "__cause__", self._inner, cause)

    def _encode(self, value: Any) -> Any:
        return Encoder(_WHAT, self._limit, self._encode_other).encode(value)

    def _encode_other(self, value: Any) -> Any:
        if isinstance(value, BaseException):
            return {TAG: "error", VALUE: self._inner(value)}
        if isinstance(value, Promise):  # a lazy translation, as in Django's ValidationError
            return str(value)
        return None

    def _inner(self, error: BaseException) -> Record | int:
        """A record; of an exception that encloses this place, its level (a ValidationError is in its own error_list)."""
        for level, above in enumerate(self._stack):
            if above is error:
                return level
        return self.record(error)


def _type_of(error: BaseException) -> list[str]:
    cls = type(error)
    names = [attempt(None, getattr, cls, "__module__"), attempt(None, getattr, cls, "__qualname__")]
    return names if all(type(name) is str for name in names) else ["builtins", "Exception"]


def message_of(error: BaseException) -> str:
    """Its text, whatever its own code does."""
    return str.__str__(attempt("(its __str__ failed)", str, error))


def _arguments_of(error: BaseException) -> list[Any]:
    """What the builtin constructor behind the class takes: it keeps an OSError's file names out of ``args``."""
    arguments = list(BaseException.__dict__["args"].__get__(error))
    if isinstance(error, OSError) and len(arguments) == 2 and error.filename is not None:
        second = [] if error.filename2 is None else [None, error.filename2]
        arguments += [error.filename, *second]
    return arguments


def _traceback_of(error: BaseException) -> str:
    return clip("".join(attempt([], traceback.format_exception, error, limit=-_FRAMES)), _TRACEBACK_CHARACTERS)

"""JSON text and back, and the quick test for values that are JSON already."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from math import isfinite
from typing import Any, Final

TAG: Final = "$"
VALUE: Final = "v"
NAME: Final = "name"
DATABASE: Final = "db"
ERASED: Final = "erased"

# The levels of containers, as in MySQL's own JSON. Far below the depth at which Python's stack ends: the caller's frames
# and the recursion of encoding must find room too.
MAX_DEPTH = 100

# 616 decimal digits. Python turns longer numbers into decimal text only up to a limit of the process, which may be set as
# low as 640 digits (sys.set_int_max_str_digits); hexadecimal has no such limit.
MAX_INT_BITS = 2048


class Unfit(ValueError):
    """Why one value cannot travel; the encoder and the decoder say where it stands."""


_surrogate = re.compile("[\ud800-\udfff]")


def is_text(value: str) -> bool:
    """Whether ``value`` is Unicode text: half of a surrogate pair is not, no database and no browser takes it."""
    return value.isascii() or not _surrogate.search(value)


def is_short(value: int) -> bool:
    """Whether every process can read ``value`` back from decimal digits."""
    return value.bit_length() <= MAX_INT_BITS


def _always(value: object) -> bool:
    return True


_PLAIN: dict[type, Callable[[Any], bool]] = {int: is_short, float: isfinite, bool: _always, type(None): _always}


def is_plain(value: object, room: int) -> bool:
    """
    Whether ``value`` is JSON as it stands, types included, and has a chance to fit into ``room`` characters.

    The hot path of every checkpoint: level by level, without recursion and without building anything. False says only
    that the encoder must look; it then finds out why.
    """
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is str:
                room -= len(item)
                if not (item.isascii() or is_text(item)):
                    return False
            elif kind is list:
                below += item
            elif kind is dict:
                if not _has_plain_keys(item):
                    return False
                below += item.values()
            elif kind not in _PLAIN or not _PLAIN[kind](item):
                return False
        room -= len(below)
        if room < 0 or not below:
            return room >= 0
        level = below
    return False


def _has_plain_keys(value: dict[Any, Any]) -> bool:
    for key in value:  # a loop costs half of what all() does, whose generator is a frame of its own
        if type(key) is not str or not (key.isascii() or is_text(key)):
            return False
    return TAG not in value


def to_json(value: object) -> str:
    """Compact ASCII: any character set of any database holds it, NUL characters included, as they are escaped."""
    return _encoder.encode(value)


def from_json(text: str) -> Any:
    """
    The inverse of ``to_json``.

    :raises ValueError: if ``text`` is not JSON; ``NaN`` and ``Infinity`` are not.
    """
    return _decoder.decode(text)


def pack(text: str) -> str:
    """What a row holds for ``text``: the place of compression and encryption, and of nothing else."""
    return text


def unpack(stored: str) -> str:
    """The inverse of ``pack``."""
    return stored


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_encoder = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False)
_decoder = json.JSONDecoder(parse_constant=_refuse_constant)

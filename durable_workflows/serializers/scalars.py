"""Values without parts that JSON does not know: one tag, one encoder and one decoder each."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from durable_workflows.serializers.wire import Unfit


@dataclass(frozen=True, slots=True)
class Scalar:
    """How one type travels; ``encode`` raises ``Unfit``, with the reason, for what would not come back."""

    kind: type
    tag: str
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


def _encode_bytes(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _decode_bytes(stored: str) -> bytes:
    return base64.b64decode(stored, validate=True)


def _encode_decimal(value: Decimal) -> str:
    if value.is_nan():
        raise Unfit("is not a number, which does not even equal itself")
    return str(value)


def _encode_timedelta(value: timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


def _decode_timedelta(stored: Sequence[int]) -> timedelta:
    days, seconds, microseconds = stored
    return timedelta(days, seconds, microseconds)


def _encode_moment(value: datetime | time) -> str | list[Any]:
    """ISO text alone if that says it all, else the list ``[text, fold, zone, name of a fixed offset]``, cut short."""
    zone, name = _zone_key(value.tzinfo), _offset_name(value.tzinfo)
    text = value.replace(tzinfo=None).isoformat() if zone else value.isoformat()
    if name is not None:
        return [text, value.fold, None, name]
    if zone is not None:
        return [text, value.fold, zone]
    return [text, value.fold] if value.fold else text


def _zone_key(zone: tzinfo | None) -> str | None:
    """The name of a ``ZoneInfo``; None for a fixed offset and for none at all."""
    if zone is None or type(zone) is timezone:
        return None
    if type(zone) is ZoneInfo and zone.key:
        return zone.key
    raise Unfit(f"has a time zone of the type {type(zone).__qualname__}; only named zoneinfo.ZoneInfo and timezone come back")


def _offset_name(zone: tzinfo | None) -> str | None:
    """The name that a fixed offset was given, if it is not the one it would have anyway."""
    if type(zone) is not timezone:
        return None
    if timedelta(0) < abs(zone.utcoffset(None)) < timedelta(seconds=1):
        raise Unfit("has an offset of less than a second, which datetime.fromisoformat takes for none")
    name = zone.tzname(None)
    return None if name == timezone(zone.utcoffset(None)).tzname(None) else name


def _decode_datetime(stored: str | Sequence[Any]) -> datetime:
    text, fold, zone, name = _moment_parts(stored)
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=_zone(moment, zone, name), fold=fold)


def _decode_time(stored: str | Sequence[Any]) -> time:
    text, fold, zone, name = _moment_parts(stored)
    moment = time.fromisoformat(text)
    return moment.replace(tzinfo=_zone(moment, zone, name), fold=fold)


def _moment_parts(stored: str | Sequence[Any]) -> tuple[str, int, str | None, str | None]:
    given: list[Any] = [stored] if isinstance(stored, str) else list(stored)
    text, fold, zone, name = given + [None, 0, None, None][len(given) :]
    return text, fold, zone, name


def _zone(moment: datetime | time, zone: str | None, name: str | None) -> tzinfo | None:
    if zone is not None:
        return ZoneInfo(zone)
    offset = moment.utcoffset()
    return moment.tzinfo if name is None or offset is None else timezone(offset, name)


SCALARS = (
    Scalar(int, "int", hex, lambda stored: int(stored, 16)),
    Scalar(bytes, "bytes", _encode_bytes, _decode_bytes),
    Scalar(datetime, "datetime", _encode_moment, _decode_datetime),
    Scalar(date, "date", date.isoformat, date.fromisoformat),
    Scalar(time, "time", _encode_moment, _decode_time),
    Scalar(timedelta, "timedelta", _encode_timedelta, _decode_timedelta),
    Scalar(Decimal, "decimal", _encode_decimal, Decimal),
    Scalar(UUID, "uuid", str, UUID),
)
BY_KIND = {scalar.kind: scalar for scalar in SCALARS}
BY_TAG = {scalar.tag: scalar for scalar in SCALARS}

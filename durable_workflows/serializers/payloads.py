"""``dumps`` and ``loads``: one value, one text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from durable_workflows.conf import config
from durable_workflows.exceptions import NotSerializable, PayloadCorrupted
from durable_workflows.serializers.decoding import Decoder, corrupted, rows_for
from durable_workflows.serializers.encoding import Encoder
from durable_workflows.serializers.refusals import too_large
from durable_workflows.serializers.wire import ERASED, TAG, from_json, is_plain, pack, to_json, unpack

_MARK = f'"{TAG}"'


def dumps(value: Any, *, what: str) -> str:
    """
    ``value`` as the text that ``loads`` turns back into what it was, types included.

    A Django model instance travels as a reference, and comes back as what its row is then; ``SafeString`` as ``str``.

    :param value: see the package's docstring for the types.
    :param what: what is stored, for errors: "result of step 'charge'".
    :raises NotSerializable: if it would not come back as what it was; names the place, the type and the cure.
    :raises PayloadTooLarge: if the text is longer than the setting ``PAYLOAD_MAX_BYTES``.
    """
    if value is None:
        return "null"
    limit = config().payload_max_bytes
    try:
        text = to_json(value if is_plain(value, limit) else Encoder(what, limit).encode(value))
    except RecursionError as error:  # the depth is limited, but the caller may have used up the stack
        raise NotSerializable(f"Cannot store the {what}: the stack of calls is too deep to go through the value.") from error
    if len(text) > limit:  # ASCII, so these are bytes
        raise too_large(what, str(len(text)), limit)
    return pack(text)


def loads(text: str, *, what: str, read: Mapping[Any, Any] | None = None) -> Any:
    """
    The value that ``dumps`` turned into ``text``. Asks the database if there are model instances in it.

    :param text: what a row holds.
    :param what: what is read, for errors: "result of step 'charge'".
    :param read: rows that were read before, by ``rows_in``.
    :raises PayloadCorrupted: if it is damaged, names what is not registered here, or refers to a row that is gone.
    """
    if text == "null":
        return None
    try:
        plain = unpack(text)
        node = _parsed(plain, what)
        return Decoder(what, node, read=read).decode() if _MARK in plain else node
    except RecursionError as error:
        raise corrupted(what, "it is nested too deeply to be one of ours.") from error


def rows_in(texts: Iterable[str | None]) -> Mapping[Any, Any]:
    """The rows that the model instances in many payloads are read from, for ``loads``: not a query for each payload."""
    return rows_for(_roots(text for text in texts if text and '"model"' in unpack(text)))


def _roots(texts: Iterable[str]) -> Iterator[Any]:
    for text in texts:
        with suppress(PayloadCorrupted, RecursionError):  # said when it is its turn
            yield _parsed(unpack(text), "payload")


def dumps_call(*args: str, what: str) -> str:
    """
    The payload of a call with these positional arguments, each a payload itself; none of them is decoded.

    So whoever starts a run for somebody else need not know the types of its arguments.

    :raises PayloadCorrupted: if one of them is not JSON.
    """
    return pack(to_json({"args": [_parsed(unpack(text), what) for text in args], "kwargs": {}}))


def erased() -> str:
    """What stands for a payload that was erased: a tag of its own, which no value is written with."""
    return pack(to_json({TAG: ERASED}))


def is_erased(text: str | None) -> bool:
    """Whether a row holds what stands for a payload that was erased."""
    return text == erased()


def is_stored(text: str) -> bool:
    """Whether a text from elsewhere has the form of a payload or of a recorded exception, readable here or not."""
    try:
        from_json(unpack(text))
    except (ValueError, TypeError, RecursionError):
        return False
    return True


def _parsed(plain: str, what: str) -> Any:
    try:
        return from_json(plain)
    except (ValueError, TypeError) as error:
        raise corrupted(what, f"it is not JSON ({error}).") from error

"""
Values and exceptions to JSON text and back: what the rows keep of arguments, results, messages and errors.

The format, version 1
    A payload is compact ASCII JSON. ``None``, ``bool``, ``int``, finite ``float``, ``str``, ``list`` and ``dict`` stand
    as themselves. Every other type is an object with the reserved key ``"$"``, which names its tag::

        {"$": "tuple", "v": [1, 2]}                             also "set", "frozenset"
        {"$": "bytes", "v": "aGk="}                             base64
        {"$": "datetime", "v": "2030-01-31T09:00:00+01:00"}     naive, or at a fixed offset; also "date", "time"
        {"$": "datetime", "v": ["2030-10-27T02:30:00", 1, "Europe/Berlin"]}     text, fold, zone, name of a fixed offset
        {"$": "timedelta", "v": [1, 3600, 0]}                   days, seconds, microseconds
        {"$": "decimal", "v": "1.10"}, {"$": "uuid", "v": "..."}
        {"$": "int", "v": "0x..."}                              an int too long for Python's limit on decimal digits
        {"$": "dict", "v": {"$": 1}}                            a dict that has the reserved key itself
        {"$": "model", "name": "shop.order", "v": 7, "db": "archive"}           a row; no "db": the default one
        {"$": "type", "name": "shop.money.Money", "v": ...}     a registered class, see ``register_type``
        {"$": "erased"}                                         a whole payload that was erased; it is read as an error

    A reader refuses tags it does not know, so that a later version may add some, or wrap a whole payload in one.

What keeps rows harmless
    Nothing is imported, called or built by a name found in a row. A "type" resolves through ``register_type`` and the
    annotations of registered functions alone, a "model" through Django's registry of apps, and the class of an exception
    only if its module is loaded already; see ``load_error``.

What does not come back as what it was is refused when it is written: the step does not count as done with a result that
its replay would see as something else.
"""

from __future__ import annotations

from durable_workflows.serializers.errors import Origin, dump_error, erased_error, lost_of, message_of
from durable_workflows.serializers.hints import register_annotations
from durable_workflows.serializers.payloads import dumps, dumps_call, erased, is_erased, is_stored, loads, rows_in
from durable_workflows.serializers.plain import as_plain, as_stored
from durable_workflows.serializers.registered import register_type
from durable_workflows.serializers.revival import ErrorSummary, error_summary, load_error, origin_of

__all__ = [
    "ErrorSummary",
    "Origin",
    "as_plain",
    "as_stored",
    "dump_error",
    "dumps",
    "dumps_call",
    "erased",
    "erased_error",
    "error_summary",
    "is_erased",
    "is_stored",
    "load_error",
    "loads",
    "lost_of",
    "message_of",
    "origin_of",
    "register_annotations",
    "register_type",
    "rows_in",
]

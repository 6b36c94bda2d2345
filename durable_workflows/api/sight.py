"""What of payloads a request gets to see: for those with the permission their values, for the others that there are some."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Case, F, TextField, Value, When
from django.db.models.functions import Length

from durable_workflows import redaction
from durable_workflows.exceptions import PayloadCorrupted
from durable_workflows.redaction import REDACTED, is_secret, secret_positions
from durable_workflows.serializers import as_plain, as_stored, error_summary, is_erased

PERMISSION: Final = "view_payload_workflowrun"
ON_PAGES = 64_000  # characters of a payload on a page of many

HIDDEN, ERASED, TOO_LARGE, UNREADABLE = "hidden", "erased", "too_large", "unreadable"
REASONS = (HIDDEN, ERASED, TOO_LARGE, UNREADABLE)

Row = Mapping[str, Any]


def redacted(text: str, row: Row, column: str) -> str:
    """
    The JSON text of a payload without what nobody is to read, as ``REDACT`` says: the one place through which all pass.

    :param row: in which it stands; that of a run has the workflow's ``name``, those of events and streams their ``key``.
    """
    if is_secret(row.get("key") or row.get("topic") or ""):
        return REDACTED
    return redaction.redacted(text, secret_positions(row["name"]) if column == "inputs" else ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """
    :param payloads: whether the user may see values.
    :param raw: whether they are shown as they are stored, tags included.
    :param limit: the longest text that is read; None: any.
    """

    payloads: bool
    raw: bool = False
    limit: int | None = None

    def columns(self, *names: str) -> dict[str, Any]:
        """Annotations by which payloads are read: their lengths, and the texts of those that are to be shown."""
        lengths: dict[str, Any] = {f"{name}_length": Length(name) for name in names}
        return lengths | {f"{name}_text": self._text(name) for name in names}

    def _text(self, name: str) -> Any:
        # Of an error its class is shown to all.
        if not self.payloads and name != "error":
            return Value(None, TextField())
        return F(name) if self.limit is None else Case(When(**{f"{name}_length__lte": self.limit}, then=F(name)))

    def seen(self, row: Row, names: Mapping[str, str]) -> dict[str, Any]:
        """
        What an answer has of the payloads of a row that was read with ``columns``.

        :param names: the members of the answer, and their columns; an error is one whose column is ``error``.
        :returns: the members, and ``withheld``: of those that are null though there is a value, why.
        """
        found: dict[str, Any] = {}
        withheld: dict[str, str] = {}
        for name, column in names.items():
            found[name], why = (self._error if column == "error" else self._value)(row, column)
            if why:
                withheld[name] = why
        return {**found, "withheld": withheld}

    def _value(self, row: Row, column: str) -> tuple[Any, str]:
        length, text = row[f"{column}_length"], row[f"{column}_text"]
        if length is None:
            return None, ""
        if not self.payloads:
            return None, HIDDEN
        if text is None:
            return None, TOO_LARGE
        if is_erased(text):
            return None, ERASED
        return _read(redacted(text, row, column), as_stored if self.raw else as_plain)

    def _error(self, row: Row, column: str) -> tuple[Any, str]:
        length, text = row[f"{column}_length"], row[f"{column}_text"]
        if length is None:
            return None, ""
        if text is None:
            return None, TOO_LARGE
        if not self.payloads:
            return {"type": error_summary(text).type, "message": None, "traceback": None}, HIDDEN
        text = redacted(text, row, column)
        return _read(text, as_stored) if self.raw else (error_summary(text)._asdict(), "")

    def attributes(self, row: Row, withheld: dict[str, str]) -> Any:
        """A run's attributes, which are plain JSON; if they are not shown, ``withheld`` is told why."""
        if not row["attributes"]:
            return {}
        if not self.payloads:
            withheld["attributes"] = HIDDEN
            return None
        return json.loads(redacted(json.dumps(row["attributes"]), row, "attributes"))

    def note(self, text: str | None, withheld: dict[str, str]) -> str | None:
        """A text that may quote an exception; likewise."""
        if text and not self.payloads:
            withheld["note"] = HIDDEN
            return None
        return text


def _read(text: str, read: Callable[..., Any]) -> tuple[Any, str]:
    try:
        return read(text, what="payload"), ""
    except PayloadCorrupted:
        return None, UNREADABLE

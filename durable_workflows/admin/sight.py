"""What of a run's payloads somebody may see: those with the permission their text, the others that there is one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from django.db.models.functions import Left, Length
from django.http import HttpRequest
from django.utils.translation import gettext as _

from durable_workflows.admin import display
from durable_workflows.admin.display import CLIP, Clipped
from durable_workflows.redaction import is_secret, redacted
from durable_workflows.serializers import error_summary

ERROR_CLIP = 64_000  # characters of a stored error that are read: room for its traceback
MESSAGE_CLIP = 1_000
PERMISSION = "durable_workflows.view_payload_workflowrun"

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """A recorded exception in its parts."""

    type: str
    message: Clipped
    traceback: Clipped | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """
    What one visitor may see of one run.

    :param payloads: whether its payloads, and what its exceptions say.
    :param whole: the address of whole values, less kind, key and column; "" if there is none.
    :param positions: which of its positional arguments are secret.
    """

    payloads: bool = True
    whole: str = ""
    positions: Collection[int] = ()

    def heads(self, *columns: str) -> dict[str, Any]:
        """Annotations: of each payload its length, and its beginning if it is to be seen; the rest stays in the database."""
        lengths: dict[str, Any] = {f"{column}_length": Length(column) for column in columns}
        limits = {column: ERROR_CLIP if column == "error" else CLIP for column in columns if self.payloads or column == "error"}
        return lengths | {f"{column}_head": Left(column, limit) for column, limit in limits.items()}

    def payload(self, row: Row, column: str, of: str = "", key: str = "") -> Clipped | None:
        """
        A payload of a row that was read with ``heads``.

        :param of: which kind of row it is, for the address of the whole value.
        :param key: the name under which the value stands, if it has one.
        """
        length, head = row.get(f"{column}_length"), row.get(f"{column}_head")
        if length is None:
            return None
        if not self.payloads:
            return Clipped("", instead=_("hidden"))
        if is_secret(key):
            return Clipped("", instead=_("redacted"))
        shown = display.payload(head, length, self.positions if column == "inputs" else ())
        return shown and self._linked(shown, of, row, column)

    def failure(self, row: Row, of: str = "") -> Failure | None:
        """A stored error in its parts; the beginning of the text itself if it is too long to be read."""
        text = row.get("error_head")
        if text is None:
            return None
        kind, message, traceback = _parts(text, row.get("error_length") or 0)
        if not self.payloads:
            return Failure(kind, Clipped("", instead=_("hidden")))
        return Failure(kind, self._linked(message, of, row, "error"), traceback and self._linked(traceback, of, row, "error"))

    def text(self, text: str) -> str:
        """A text that may quote an exception."""
        return text if self.payloads or not text else _("hidden")

    def _linked(self, shown: Clipped, of: str, row: Row, column: str) -> Clipped:
        if not (shown.more and self.whole and of):
            return shown
        return replace(shown, url=f"{self.whole}{of}/{row.get('pk', 0)}/{column}/")


def _parts(text: str, length: int) -> tuple[str, Clipped, Clipped | None]:
    if length > len(text):
        return "", Clipped(redacted(text)[:MESSAGE_CLIP], length - MESSAGE_CLIP), None
    kind, message, traceback = error_summary(text)
    return kind, display.clip(message, MESSAGE_CLIP), display.clip_front(traceback) if traceback else None


def may_see_payloads(request: HttpRequest) -> bool:
    """Whether the visitor has the permission to."""
    return bool(request.user.has_perm(PERMISSION))


def may_see_runs(request: HttpRequest) -> bool:
    """Whether the visitor may look at the list of runs, as Django's admin says it."""
    return any(request.user.has_perm(f"durable_workflows.{verb}_workflowrun") for verb in ("view", "change"))

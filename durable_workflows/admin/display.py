"""Values as a page shows them: clipped, indented, in words. Nothing here asks the database, nothing decodes a payload."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from durable_workflows import clock
from durable_workflows.admin.redaction import CLOSING, OPENING, TOKEN, redacted
from durable_workflows.conf import config, uses_time_zones
from durable_workflows.serializers import is_erased
from durable_workflows.states import RunState

CLIP = 4_000  # characters of a value that a page shows
ONE_LINE = 72  # JSON up to this length is not spread over several lines
DEEPEST = 20  # levels of indentation; deeper ones would only add blanks


@dataclass(frozen=True, slots=True)
class Clipped:
    """
    The beginning of a text, and how many characters of it are left out.

    :param instead: why nothing of it is shown; :param url: where the whole of it is.
    """

    text: str
    more: int = 0
    instead: str = ""
    url: str = ""


def clip(text: str, limit: int = CLIP) -> Clipped:
    """The first ``limit`` characters."""
    return Clipped(text[:limit], max(0, len(text) - limit))


def clip_front(text: str, limit: int = CLIP) -> Clipped:
    """The last ``limit`` characters: of a traceback they tell the most."""
    return Clipped(text[-limit:], max(0, len(text) - limit))


def payload(head: str | None, length: int | None, positions: Collection[int] = ()) -> Clipped | None:
    """
    A stored payload, of which the database gave the ``head`` and the ``length``; None if there is none.

    Every payload that a page shows comes by here.

    :param positions: see ``redaction.redacted``.
    """
    if is_erased(head):
        return Clipped(_("(erased)"))
    return None if head is None else Clipped(pretty(redacted(head, positions)), max(0, (length or 0) - len(head)))


EMPTY = re.compile(r"\{\s+\}|\[\s+\]")


def pretty(text: str) -> str:
    """
    JSON text, indented for the eye.

    The text itself is re-spaced, not what it stands for: numbers keep their digits, repeated keys stay, and JSON that is
    clipped or nested a thousand times does no harm. What is not JSON comes back as it is.
    """
    if not text.lstrip().startswith(('"', *OPENING)):
        return text
    tokens = [readable(token) for token in TOKEN.findall(text)]
    return "".join(_on_one_line(tokens) if len(text) <= ONE_LINE else _indented(tokens))


def _on_one_line(tokens: list[str]) -> list[str]:
    return [token + " " if token in (",", ":") else token for token in tokens]


def _indented(tokens: list[str]) -> list[str]:
    out: list[str] = []
    depth = 0
    for before, token in zip(["", *tokens], tokens, strict=False):
        if token in CLOSING:
            depth -= 1
        if before in OPENING and token in CLOSING:
            out.append(token)
            continue
        if before in (*OPENING, ",") or token in CLOSING:
            out.append("\n" + "  " * max(0, min(depth, DEEPEST)))
        out.append(token + " " if token == ":" else token)
        if token in OPENING:
            depth += 1
    return out


ESCAPE = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.")


def readable(token: str) -> str:
    """A JSON string with its letters instead of their escapes; what would not print, or mislead, stays escaped."""
    return ESCAPE.sub(lambda found: _letter(found[0]), token) if token.startswith('"') and "\\u" in token else token


def _letter(escape: str) -> str:
    if not escape.startswith("\\u"):
        return escape
    units = bytes.fromhex(escape.replace("\\u", ""))
    letter = units.decode("utf-16-be", "replace")
    return letter if letter.isprintable() and letter not in '"\\\N{REPLACEMENT CHARACTER}' else escape


def pill(status: str) -> SafeString:
    """A run's state as a coloured label; the class is the state's name."""
    if status not in RunState.values:
        return format_html('<span class="dw-pill">{}</span>', status)
    return format_html('<span class="dw-pill dw-{}">{}</span>', status.lower(), RunState(status).label)


def moment(value: datetime | None) -> str:
    """A moment in the project's time zone, to the second, in the one notation that nobody misreads."""
    return "" if value is None else f"{local(value):%Y-%m-%d %H:%M:%S}"


def local(value: datetime) -> datetime:
    """In the project's time zone; as it is in a project without time zones."""
    return value.astimezone(timezone.get_current_timezone()) if timezone.is_aware(value) else value


def minute(value: datetime | None) -> str:
    """The same to the minute, for sentences."""
    return moment(value)[:-3]


def timestamp(value: datetime | None) -> SafeString | None:
    """A moment as an element whose tooltip has the fractions and the zone."""
    if value is None:
        return None
    exact = local(value).isoformat(" ")
    day, time = moment(value).split(" ")
    return format_html(
        '<time datetime="{}" title="{}"><span>{}</span> <span>{}</span></time>', value.isoformat(), exact, day, time
    )


def elapsed(start: datetime | None, end: datetime | None) -> str:
    """From ``start`` to ``end``, or until now if it has not ended; "" if it has not begun."""
    if start is None:
        return ""
    return duration(end - start) if end else _("%(time)s so far") % {"time": duration(present() - start)}


def present() -> datetime:
    """The present, naive in a project without time zones, as its rows are."""
    return clock.now() if uses_time_zones() else timezone.make_naive(clock.now())


def duration(span: timedelta) -> str:
    """A span in its two largest units."""
    seconds = max(0.0, span.total_seconds())
    if seconds < 1:
        return _("%(number)d ms") % {"number": round(seconds * 1000)}
    if seconds < 60:
        return _("%(number).1f s") % {"number": seconds}
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86_400)
    if not hours:
        return _("%(minutes)d min %(seconds)d s") % {"minutes": minutes, "seconds": seconds % 60}
    if not days:
        return _("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": minutes % 60}
    return _("%(days)d d %(hours)d h") % {"days": days, "hours": hours % 24}


def about(span: timedelta) -> str:
    """A span in its largest unit."""
    seconds = max(0, int(span.total_seconds()))
    for unit, words in ((86_400, _("%(number)d d")), (3600, _("%(number)d h")), (60, _("%(number)d min"))):
        if seconds >= unit:
            return words % {"number": seconds // unit}
    return _("%(number)d s") % {"number": seconds}


def number(value: int, more: bool = False) -> str:
    """A number for people; with a plus sign if there are more than were counted."""
    return f"{value:,}+" if more else f"{value:,}"


def split_name(name: str) -> tuple[str, str]:
    """A qualified name as (the last part, what it is in)."""
    within, __, last = name.rpartition(".")
    return (last, within) if last else (name, "")


def short_id(workflow_id: str) -> str:
    """An id for a sentence; its end, because ids made in one moment begin alike."""
    return workflow_id if len(workflow_id) <= 20 else f"{workflow_id[:8]}…{workflow_id[-8:]}"


def name_label(name: str) -> SafeString:
    """A workflow's name, and in a quieter line where it is: the app, as each app's are in its ``workflows`` module."""
    last, within = split_name(name)
    within = within.removesuffix(f".{config().workflows_module}")
    return format_html('<span class="dw-name">{}</span><span class="dw-module">{}</span>', breakable(last), breakable(within))


def breakable(name: str) -> SafeString:
    """A name that a narrow column may break after its dots and underscores, and that is copied without the breaks."""
    return format_html_join(BREAK, "{}", ((part,) for part in WORD.findall(name)))


WORD = re.compile(r"[^._]*[._]+|[^._]+")
BREAK = mark_safe("<wbr>")


def id_label(workflow_id: str) -> SafeString:
    """An id, clipped by the style sheet alone: a click selects, and copies take, all of it."""
    return format_html(
        '<code class="dw-id" title="{}"><span class="dw-id-head">{}</span><span>{}</span></code>',
        workflow_id, workflow_id[:-8], workflow_id[-8:],
    )  # fmt: skip


def links(found: Iterable[tuple[str, str, str]]) -> SafeString:
    """Links side by side, each an address, its query and a label."""
    return format_html_join(" ", '<a href="{}?{}">{}</a>', found)

"""Values as a page shows them: clipped, indented, in words. Nothing here asks the database, nothing decodes a payload."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from durable_workflows import words
from durable_workflows.conf import config
from durable_workflows.redaction import CLOSING, OPENING, TOKEN, redacted
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


# What pages and terminals say alike.
moment, minute, local, present = words.moment, words.minute, words.local, words.present
elapsed, duration, about, number = words.elapsed, words.duration, words.about, words.number
split_name, short_id = words.split_name, words.short_id


def timestamp(value: datetime | None) -> SafeString | None:
    """A moment as an element whose tooltip has the fractions and the zone."""
    if value is None:
        return None
    exact = local(value).isoformat(" ")
    day, time = moment(value).split(" ")
    return format_html(
        '<time datetime="{}" title="{}"><span>{}</span> <span>{}</span></time>', value.isoformat(), exact, day, time
    )


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

"""Text that a terminal may show: nothing in it moves the cursor, changes colours, or turns the direction of reading."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Collection, Iterator
from datetime import timedelta
from typing import Any

from durable_workflows.redaction import REDACTED, is_secret, redacted
from durable_workflows.serializers import error_summary
from durable_workflows.serializers.wire import from_json, unpack

CLIP = 2_000  # characters of a value that are shown, unless all of it is asked for
ONE_LINE = 72


def safe(text: str) -> str:
    """One line of what may be anybody's: what would not print, or mislead, is shown as its escape."""
    return text if text.isprintable() else "".join(map(_shown, text))


def safe_lines(text: str) -> str:
    """The same for several lines, which stay lines."""
    return "\n".join(safe(line.replace("\t", "    ")) for line in text.split("\n"))


def _shown(letter: str) -> str:
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")


def clip(text: str, limit: int | None) -> str:
    """The first ``limit`` characters, and how many more there are; all of them if None."""
    more = 0 if limit is None else len(text) - limit
    return text if more <= 0 else f"{text[:limit]}… {more:,} more characters"


def clip_front(text: str, limit: int | None) -> str:
    """The last ``limit`` characters: of a traceback they tell the most."""
    more = 0 if limit is None else len(text) - limit
    return text if more <= 0 else f"{more:,} more characters …{text[more:]}"


def plain(payload: str | None, *, key: str = "", positions: Collection[int] = ()) -> Any:
    """
    A stored payload as the JSON that it is; nothing is decoded, so that nothing is lost, and no code of the project runs.

    What is secret, as ``REDACT`` says, is left out. What is damaged stands as text under the key "unreadable".

    :param key: the name under which it stands, if it has one.
    :param positions: see ``redaction.redacted``.
    """
    if payload is None:
        return None
    text = REDACTED if is_secret(key) else redacted(payload, positions)
    try:
        return from_json(unpack(text))
    except (ValueError, TypeError, RecursionError):
        return {"unreadable": text}


def plain_error(payload: str | None) -> dict[str, str] | None:
    """A stored exception in its parts."""
    return None if payload is None else error_summary(redacted(payload))._asdict()


def readable(value: Any, limit: int | None = CLIP) -> str:
    """A plain value, spread over lines as far as it does not fit on one."""
    try:
        text = "\n".join(_spread(value, 0))
    except RecursionError:
        text = "(nested too deeply to be shown)"
    return safe_lines(clip(text, limit))


def _spread(value: Any, level: int) -> list[str]:
    text = json.dumps(value, ensure_ascii=False)
    if len(text) + 2 * level <= ONE_LINE or not value or not isinstance(value, (dict, list)):
        return [text]
    named = value.items() if isinstance(value, dict) else ((None, each) for each in value)
    parts = [(_key(key), _spread(each, level + 1)) for key, each in named]
    inner = [f"  {line}" for line in _separated(parts)]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return [opening, *inner, closing]


def _key(key: str | None) -> str:
    return "" if key is None else f"{json.dumps(key, ensure_ascii=False)}: "


def _separated(parts: list[tuple[str, list[str]]]) -> Iterator[str]:
    for place, (key, lines) in enumerate(parts):
        comma = "," if place < len(parts) - 1 else ""
        first, *others = lines
        *whole, last = [key + first, *others]
        yield from (*whole, last + comma)


def short(value: Any, limit: int = ONE_LINE) -> str:
    """A plain value on one line."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "…"
    return safe(text if len(text) <= limit else f"{text[: limit - 1]}…")


def width(text: str) -> int:
    """How many cells of a terminal a printable text takes."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def runs_in_words(number: int) -> str:
    """So many runs."""
    return "1 run" if number == 1 else f"{number:,} runs"


def age(span: timedelta) -> str:
    """A span in its largest unit, for a column."""
    seconds = max(0, int(span.total_seconds()))
    for letter, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * size or (letter == "m" and seconds >= size):
            return f"{seconds // size}{letter}"
    return f"{seconds}s"

"""
Where a subcommand's findings go: to a screen by rich, to a pipe as plain text, to a script as JSON.

rich is the extra ``cli``. Without it, or where standard output is no screen, the same tables are plain aligned text, whose
values are never clipped. With ``--json`` nothing but JSON is written.
"""

from __future__ import annotations

import json
import os
import shutil
from argparse import Namespace
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from durable_workflows.management.durable import screen
from durable_workflows.management.durable.tables import Cell, Table, as_cell, as_text
from durable_workflows.management.durable.text import safe, safe_lines, width


class Stream(Protocol):
    """What is written to: Django's wrapper of standard output, or whatever a caller of the command put in its place."""

    def write(self, text: str, /) -> Any: ...

    def flush(self) -> None: ...

    def isatty(self) -> bool: ...


class Encodable:
    """A stream to which everything can be written: what its encoding does not have is escaped."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.encoding: str = getattr(stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        self._stream.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()


class Output:
    """
    One run of the command's way to speak.

    :param given: its options: ``json``, ``no_color``, ``force_color``.
    """

    def __init__(self, stream: Stream, given: Namespace) -> None:
        self.stream = Encodable(stream)
        self.json: bool = given.json
        self.is_screen = self.stream.isatty() or given.force_color
        self.colour = given.force_color or (self.is_screen and not given.no_color and not os.environ.get("NO_COLOR"))
        self.console = screen.console(self.stream, self.colour) if self.is_screen and not self.json else None

    @property
    def width(self) -> int | None:
        """How many cells are side by side; None where it is no screen."""
        if self.console is not None:
            return self.console.width
        return shutil.get_terminal_size().columns if self.is_screen else None

    # -- for scripts

    def document(self, value: Any) -> None:
        """The one JSON document."""
        self.stream.write(json.dumps(value, indent=2, default=_as_json) + "\n")

    def record(self, value: Any) -> None:
        """One of many JSON documents, each on a line of its own."""
        self.stream.write(json.dumps(value, separators=(",", ":"), default=_as_json) + "\n")
        self.stream.flush()

    # -- for people; nothing with --json

    def say(self, text: str, style: str = "") -> None:
        """A line, or several."""
        self._lines([[Cell(line, style)] for line in text.split("\n")])

    def line(self, *cells: Cell | str) -> None:
        """A line put together of cells."""
        self._lines([cells])

    def _lines(self, lines: Sequence[Sequence[Cell | str]]) -> None:
        if self.json:
            return
        cells = [[as_cell(cell) for cell in line] for line in lines]
        if self.console is not None:
            screen.lines(self.console, cells)
        else:
            self.stream.write("".join("".join(cell.text for cell in line).rstrip() + "\n" for line in cells))
        self.stream.flush()

    def heading(self, text: str) -> None:
        """The title of what follows."""
        self.line("")
        self.line(Cell(text, "title"))

    def table(self, table: Table) -> None:
        """A table; without rows what it says instead."""
        if self.json or not (table.rows or table.empty):
            return
        if table.title:
            self.heading(table.title)
        if not table.rows:
            self.say(table.empty, "quiet")
        elif self.console is not None:
            screen.table(self.console, table)
        else:
            self.stream.write(as_text(table, self.width))

    def facts(self, facts: Sequence[tuple[str, Cell | str]]) -> None:
        """Names and values, one below the other; what is empty is left out. A value may have several lines."""
        shown = [(safe(name), value) for name, value in facts if (value.text if isinstance(value, Cell) else value)]
        if self.json or not shown:
            return
        room = max(width(name) for name, _ in shown) + 2
        for name, value in shown:
            cell = value if isinstance(value, Cell) else Cell(value)
            first, *others = safe_lines(cell.text).split("\n")
            self.line(Cell(name.ljust(room), "quiet"), Cell(first, cell.style))
            for other in others:
                self.line(" " * room, Cell(other, cell.style))


def _as_json(value: object) -> Any:
    """What JSON has no words for: moments are ISO 8601 in UTC; in a project without time zones they have none."""
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).isoformat()
    return str(value)

"""Tables as values: rich draws them on a screen, and plain text does wherever there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from durable_workflows.management.durable.text import safe, width
from durable_workflows.states import RunState


@dataclass(frozen=True, slots=True)
class Cell:
    """A text, which may be anybody's, and how it is meant: "good", "bad", "busy", "wait", "quiet" or ""."""

    text: str
    style: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """
    A column.

    :param least: how wide a screen must be for it to be shown; what is no screen shows them all.
    :param whole: never clipped nor wrapped: ids, which are copied.
    """

    title: str
    least: int = 0
    right: bool = False
    whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """
    Rows under columns.

    :param empty: what is said instead when there are no rows.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell | str]]
    title: str = ""
    empty: str = ""

    def on(self, screen: int | None) -> tuple[list[Column], list[list[Cell]]]:
        """The columns for which a screen of so many cells has room, None being none, and their cells."""
        shown = [place for place, column in enumerate(self.columns) if screen is None or column.least <= screen]
        return [self.columns[place] for place in shown], [[as_cell(row[place]) for place in shown] for row in self.rows]


def as_cell(given: Cell | str) -> Cell:
    """Text that is safe to show."""
    return Cell(safe(given)) if isinstance(given, str) else Cell(safe(given.text), given.style)


STYLES = {
    RunState.DELAYED: "quiet",
    RunState.ENQUEUED: "quiet",
    RunState.RUNNING: "busy",
    RunState.WAITING: "wait",
    RunState.PAUSED: "wait",
    RunState.CANCELLING: "wait",
    RunState.SUCCESS: "good",
    RunState.ERROR: "bad",
    RunState.CANCELLED: "quiet",
    RunState.MAX_RECOVERY_ATTEMPTS_EXCEEDED: "bad",
}


def state(status: str) -> Cell:
    """A run's status, in a word."""
    if status not in RunState.values:
        return Cell(status)
    known = RunState(status)
    return Cell(str(known.label), STYLES[known])


def as_text(table: Table, screen: int | None) -> str:
    """The table in plain aligned text; the last column is not padded."""
    columns, rows = table.on(screen)
    texts = [[column.title for column in columns], *([cell.text for cell in row] for row in rows)]
    widths = [max(map(width, column)) for column in zip(*texts, strict=True)]
    return "".join(_line(row, columns, widths) for row in texts)


def _line(texts: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    padded = [
        " " * (room - width(text)) + text if column.right else text + " " * (room - width(text))
        for text, column, room in zip(texts, columns, widths, strict=True)
    ]
    return "  ".join(padded).rstrip() + "\n"

"""What rich draws. All that meets it has been made safe, and is text to it, never markup."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from durable_workflows.management.durable.tables import Cell, Table

try:
    from rich.console import Console
    from rich.live import Live
    from rich.spinner import Spinner
    from rich.table import Table as RichTable
    from rich.text import Text
except ImportError:  # the extra `cli`; without it nothing here is called
    Console = None  # type: ignore[assignment,misc]  # told by `there`

if TYPE_CHECKING:
    from durable_workflows.management.durable.output import Encodable

there = Console is not None

STYLES = {"good": "green", "bad": "bold red", "busy": "cyan", "wait": "yellow", "quiet": "dim", "title": "bold"}


def console(stream: Encodable, colour: bool) -> Console | None:
    """A console that writes there; None without rich."""
    if not there:
        return None
    system = "auto" if colour else None
    return Console(
        file=cast(Any, stream), force_terminal=True, color_system=cast(Any, system), highlight=False, markup=False, emoji=False
    )


def text(cells: Sequence[Cell]) -> Text:
    """Cells in a row."""
    return Text.assemble(*((cell.text, STYLES.get(cell.style, "")) for cell in cells))


def lines(console: Console, cells: Sequence[Sequence[Cell]]) -> None:
    """Lines; a long one goes on in the next."""
    for line in cells:
        console.print(text(line), soft_wrap=True)


def table(console: Console, table: Table) -> None:
    """A table that fits: what is too long goes on below, but for ids."""
    columns, rows = table.on(console.width)
    drawn = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        drawn.add_column(column.title, justify="right" if column.right else "left", no_wrap=column.whole, overflow="fold")
    for row in rows:
        drawn.add_row(*(text([cell]) for cell in row))
    console.print(drawn)


class Ticker:
    """A line at the bottom that moves while one waits; what is said meanwhile scrolls above it."""

    def __init__(self, console: Console) -> None:
        self._spinner = Spinner("dots", style="cyan")
        self._live = Live(self._spinner, console=console, refresh_per_second=8, transient=True)

    def show(self, cells: Sequence[Cell]) -> None:
        """What the line says from now on."""
        self._spinner.update(text=text(cells))

    def start(self) -> None:
        self._live.start()

    def stop(self) -> None:
        self._live.stop()

"""What the demo shows: what happened, how each run stands, and where to look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

from rich import box
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from durable_workflows.states import RunState
from example_project.demo.books import Count, Standing

FEWEST_EVENTS = 2
STATES = {
    "": ("to come", "dim"),
    RunState.ENQUEUED: ("enqueued", "yellow"),
    RunState.RUNNING: ("running", "bold cyan"),
    RunState.WAITING: ("waiting", "blue"),
    RunState.SUCCESS: ("done", "green"),
}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened."""

    at: datetime
    text: str
    style: str = ""

    def line(self) -> Text:
        return Text.assemble((f"{self.at:%H:%M:%S}  ", "dim"), (self.text, self.style))


class Screen:
    """
    A live picture in a terminal; line by line where there is none.

    :param console: where to show it.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.events: list[Event] = []
        self.standings: Sequence[Standing] = ()
        self.beside: Mapping[str, int] = {}
        self.verdict: Text | None = None
        self.links: Mapping[str, str] = {}
        self._live = Live(console=console, get_renderable=self._picture, refresh_per_second=8) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def say(self, text: str, style: str = "") -> None:
        """Show that something happened."""
        event = Event(datetime.now().astimezone(), text, style)
        self.events.append(event)
        if not self._live:
            self.console.print(event.line())

    def judge(self, verdict: str, *, good: bool) -> None:
        """Show what came of it all."""
        self.verdict = Text(verdict, "bold green" if good else "bold red")
        if not self._live:
            self.console.print(self._runs(), self.verdict, *self._footer())

    def _picture(self) -> RenderableType:
        below = self._below(brief=False)
        room = self._room_above(below)
        if room < FEWEST_EVENTS:
            below = self._below(brief=True)
            room = self._room_above(below)
        return Group(*self._newest_events(room), below)

    def _below(self, *, brief: bool) -> RenderableType:
        runs = [self._runs(brief=brief)] if self.standings else []
        return Group(*runs, *([self.verdict] if self.verdict else []), *self._footer())

    def _room_above(self, below: RenderableType) -> int:
        return self.console.height - len(self.console.render_lines(below)) - 1

    def _newest_events(self, lines: int) -> list[Text]:
        """As many of the last events as there are lines for."""
        shown: list[Text] = []
        for event in reversed(self.events):
            lines -= len(event.line().wrap(self.console, self.console.width))
            if lines < 0:
                break
            shown.insert(0, event.line())
        return shown

    def _runs(self, *, brief: bool = False) -> Table:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=False)
        table.add_column("run", no_wrap=True)
        table.add_column("state", no_wrap=True)
        table.add_column("effects, counted by plain SQL")
        for standing in self.standings:
            table.add_row(standing.act.title, _state(standing), _in_brief(standing) if brief else _effects(standing))
        return table

    def _footer(self) -> list[RenderableType]:
        lines: list[RenderableType] = []
        if self.beside:
            others = ", ".join(f"{number} {_label(status)}" for status, number in sorted(self.beside.items()))
            lines.append(Text(f"Runs of your own: {others}"))
        if self.links:
            grid = Table.grid(padding=(0, 2))
            for name, link in self.links.items():
                grid.add_row(Text(name, "bold"), link)
            lines.append(grid)
        return lines


def _label(status: str) -> str:
    return STATES[status][0] if status in STATES else RunState(status).label


def _state(standing: Standing) -> Text:
    if standing.act.run_id is None:
        return Text("checked" if standing.at_rest else "", "green")
    style = STATES.get(standing.status, ("", "red"))[1]
    text = Text(_label(standing.status), style)
    if standing.recoveries:
        text.append(" · recovered", "magenta")
    return text


def _effects(standing: Standing) -> RenderableType:
    if standing.act.hint:
        return Text(standing.act.hint, "italic")
    return Columns([_count(count, standing.at_rest) for count in standing.counts], padding=(0, 2))


def _in_brief(standing: Standing) -> RenderableType:
    """For a terminal of few lines."""
    if standing.act.hint:
        return _effects(standing)
    kept, number = sum(count.kept for count in standing.counts), len(standing.counts)
    style = "green" if kept == number else "bold red" if standing.at_rest else "yellow"
    return Text(f"{kept} of {number} as promised", style)


def _count(count: Count, at_rest: bool) -> Text:
    if count.kept:
        return Text(f"{count.what} {count.found:,}", "green", no_wrap=True)
    style = "bold red" if at_rest else "yellow"
    return Text(f"{count.what} {count.found:,} of {count.expected:,}", style, no_wrap=True)

"""A timeline as values: for each thing that took time a lane, with a bar for each part of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from durable_workflows.admin.timeline.bars import SLEEPS, Bar, executed, failed_attempts, outcome, queued, so_far, summed_up
from durable_workflows.admin.timeline.reading import Rows
from durable_workflows.models import Kind, Wait, WorkflowRun
from durable_workflows.situation import sentence
from durable_workflows.states import RunState

S = RunState
BUSY = frozenset(
    {"step", "undo", "failed", "call", "now", "child"}
)  # bars in which code ran: what is between may be drawn short


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """
    One line of the timeline.

    :param pk: of the step's row, if it is one; :param place: where in the history.
    :param child: the run that was started here; ``may_open``: its lanes may be shown, as ``is_open`` says they are.
    :param left_out: of the summary of a long history, how many steps it stands for.
    """

    name: str
    bars: Sequence[Bar]
    kind: str = ""
    depth: int = 0
    pk: int | None = None
    place: tuple[str, int] | None = None
    child: WorkflowRun | None = None
    is_open: bool = False
    may_open: bool = False
    left_out: int = 0
    words: str = ""

    @property
    def start(self) -> datetime:
        """When it began."""
        return min(bar.start for bar in self.bars)

    @property
    def end(self) -> datetime:
        """When it ended."""
        return max(bar.end for bar in self.bars)


@dataclass(frozen=True, slots=True)
class Drawer:
    """
    Makes the lanes of one run.

    :param opened: what was read of the children that are to be shown with their lanes, by id.
    """

    rows: Rows
    now: datetime
    opened: Mapping[str, Rows]
    depth: int = 0

    def lanes(self) -> Iterator[Lane]:
        """Its lanes, in the order in which they began."""
        first, last = self._ends()
        yield from self._in_order(first)
        if self.rows.left_out > 0:
            yield self._between(first, last)
        yield from self._in_order(last)

    def _ends(self) -> tuple[list[Lane], list[Lane]]:
        linked = {step.child_id for step in (*self.rows.head, *self.rows.tail)}
        others = [self._child(child) for child in self.rows.children.values() if child.pk not in linked]
        ends = [*others, *self._unrecorded(), *map(self._wait, self.rows.waits), *self._present()]
        head, tail = ([self._step(step) for step in steps] for steps in (self.rows.head, self.rows.tail))
        return (head, tail + ends) if tail else (head + ends, [])

    def _in_order(self, lanes: Iterable[Lane]) -> Iterator[Lane]:
        for lane in sorted(lanes, key=lambda lane: (lane.kind == "now", lane.start, lane.place or ("", 0))):
            yield lane
            if lane.is_open and lane.child is not None:
                yield from Drawer(self.opened[lane.child.pk], self.now, self.opened, self.depth + 1).lanes()

    # The kinds of lanes.

    def _step(self, step: Any) -> Lane:
        place = (step.branch, step.position)
        failures = self.rows.attempts.get(place, [])
        bars = [*failed_attempts(failures, step.completed_at)]
        if not (step.failed and failures and failures[-1].attempt == step.attempts):
            bars.append(outcome(step, bars[-1].end if bars else step.started_at))
        child = self.rows.children.get(step.child_id or "")
        bars += self._run(child) if child else []
        return Lane(
            name=child.name if child else step.name, bars=bars, kind="undo" if step.kind == Kind.UNDO else step.kind,
            depth=self.depth, pk=step.pk, place=place, **(self._opening(child) if child else {}),
        )  # fmt: skip

    def _unrecorded(self) -> Iterator[Lane]:
        """Steps that have failed so far, and are to be tried again."""
        recorded = {(step.branch, step.position) for step in (*self.rows.head, *self.rows.tail)}
        for place, failures in self.rows.attempts.items():
            if place not in recorded:
                bars = [*failed_attempts(failures, self.now)]
                yield Lane(name=failures[0].name, bars=bars, kind="retry", depth=self.depth, place=place)

    def _child(self, child: WorkflowRun) -> Lane:
        return Lane(name=child.name, bars=self._run(child), kind="child", depth=self.depth, **self._opening(child))

    def _opening(self, child: WorkflowRun) -> dict[str, Any]:
        """Of a run that a step names, but that another one started, the lanes are not shown here."""
        may = child.parent_id == self.rows.run.pk
        return {"child": child, "may_open": may, "is_open": may and child.pk in self.opened}

    def _run(self, run: WorkflowRun) -> list[Bar]:
        """A child's queue wait and its execution; if its own lanes are shown, those tell when code ran."""
        return [*queued(run, self.now), *executed(run, self.now, "opened" if run.pk in self.opened else "child")]

    def _wait(self, wait: Wait) -> Lane:
        end = max(wait.created_at, self.now)
        kind = "sleep" if wait.kind in SLEEPS else "wait"
        bar = Bar(f"{kind} dw-t-open", wait.created_at, end, so_far(wait.created_at, end))
        return Lane(
            name="", words=sentence(wait), bars=[bar], kind="wait", depth=self.depth, place=(wait.branch, wait.position)
        )

    def _present(self) -> Iterator[Lane]:
        """What an unfinished run does since its last row, as far as no wait says so."""
        run, words = self.rows.run, _PRESENT.get(self.rows.run.status)
        if words is None or run.started_at is None:
            return
        done = [step.completed_at for step in (*self.rows.head, *self.rows.tail)]
        failed = [failure.ended_at for failures in self.rows.attempts.values() for failure in failures]
        since = run.updated_at if run.status == S.PAUSED else max([run.started_at, *done, *failed])
        kind, text = words
        bars = []
        if kind == "now" and run.claimed_at and run.claimed_at > since:
            bars = [Bar("queued", since, run.claimed_at, _("waited for a worker"))]
            since = run.claimed_at
        end = max(since, self.now)
        bars.append(Bar(f"{kind} dw-t-open", since, end, so_far(since, end)))
        yield Lane(name="", words=str(text()), bars=bars, kind="now", depth=self.depth)

    def _between(self, first: Sequence[Lane], last: Sequence[Lane]) -> Lane:
        """The steps that have no lanes of their own."""
        bars = [
            Bar("failed" if part.failed else "step", part.start, part.end, summed_up(part), part.first)
            for part in self.rows.between
        ]
        start = max(lane.start for lane in first)
        hidden = Bar("hidden", start, max(start, min(lane.start for lane in last)), "")
        words = ngettext("%(number)d step between these", "%(number)d steps between these", self.rows.left_out)
        return Lane(
            name="", words=words % {"number": self.rows.left_out}, bars=bars or [hidden], kind="between", depth=self.depth,
            left_out=self.rows.left_out, place=(self.rows.head[-1].branch, self.rows.head[-1].position + 1),
        )  # fmt: skip


_PRESENT: dict[str, tuple[str, Callable[[], str]]] = {
    S.RUNNING: ("now", lambda: _("a worker is at it")),
    S.CANCELLING: ("now", lambda: _("undoes its steps")),
    S.ENQUEUED: ("queued", lambda: _("waits for a worker")),
    S.DELAYED: ("queued", lambda: _("waits to be tried again")),
    S.PAUSED: ("paused", lambda: _("paused")),
}


def whole_run(run: WorkflowRun, now: datetime) -> Lane:
    """The first lane: how long it waited, and how long it took."""
    return Lane(name=run.name, kind="run", bars=[*queued(run, now), *executed(run, now, "run")])

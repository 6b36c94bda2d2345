"""A timeline as values: for each thing that took time a lane, with a bar for each part of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from durable_workflows.admin import display
from durable_workflows.admin.situation import sentence
from durable_workflows.admin.timeline.reading import Rows
from durable_workflows.models import Kind, StepAttempt, Wait, WorkflowRun
from durable_workflows.states import TERMINAL, RunState

S = RunState
BUSY = frozenset({"step", "undo", "failed", "now", "child"})  # bars in which code ran: what is between may be drawn short
SLEEPS = (Kind.SLEEP, Kind.RETRY)
WAITS = (Kind.RECV, Kind.GET_EVENT, Kind.RESULT, Kind.FIRST, Kind.SELECT, Kind.STREAM)


@dataclass(frozen=True, slots=True)
class Bar:
    """A span of time; ``kind`` is its class in the style sheet."""

    kind: str
    start: datetime
    end: datetime
    title: str


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
        for lane in sorted(lanes, key=lambda lane: (lane.start, lane.place or ("", 0))):
            yield lane
            if lane.is_open and lane.child is not None:
                yield from Drawer(self.opened[lane.child.pk], self.now, self.opened, self.depth + 1).lanes()

    # The kinds of lanes.

    def _step(self, step: Any) -> Lane:
        place = (step.branch, step.position)
        failures = self.rows.attempts.get(place, [])
        bars = [*_failures(failures, step.completed_at)]
        if not (step.failed and failures and failures[-1].attempt == step.attempts):
            bars.append(self._outcome(step, bars[-1].end if bars else step.started_at))
        child = self.rows.children.get(step.child_id or "")
        bars += self._run(child) if child else []
        return Lane(
            name=child.name if child else step.name, bars=bars, kind="undo" if step.kind == Kind.UNDO else step.kind,
            depth=self.depth, pk=step.pk, place=place, **(self._opening(child) if child else {}),
        )  # fmt: skip

    def _outcome(self, step: Any, since: datetime) -> Bar:
        start, kind = max(step.started_at, since), "step"
        if step.kind in SLEEPS:
            kind = "sleep"
        elif step.kind in WAITS:
            kind = "wait"
        elif step.kind != Kind.STEP:
            kind = "undo" if step.kind == Kind.UNDO else "call"
        if step.failed:
            kind = "failed"
        words = _("failed after %(time)s") if step.failed else "%(time)s"
        return Bar(kind, start, step.completed_at, words % {"time": display.duration(step.completed_at - start)})

    def _unrecorded(self) -> Iterator[Lane]:
        """Steps that have failed so far, and are to be tried again."""
        recorded = {(step.branch, step.position) for step in (*self.rows.head, *self.rows.tail)}
        for place, failures in self.rows.attempts.items():
            if place not in recorded:
                bars = [*_failures(failures, self.now)]
                yield Lane(name=failures[0].name, bars=bars, kind="retry", depth=self.depth, place=place)

    def _child(self, child: WorkflowRun) -> Lane:
        return Lane(name=child.name, bars=self._run(child), kind="child", depth=self.depth, **self._opening(child))

    def _opening(self, child: WorkflowRun) -> dict[str, Any]:
        """Of a run that a step names, but that another one started, the lanes are not shown here."""
        may = child.parent_id == self.rows.run.pk
        return {"child": child, "may_open": may, "is_open": may and child.pk in self.opened}

    def _run(self, run: WorkflowRun) -> list[Bar]:
        """A child's queue wait and its execution; if its own lanes are shown, those tell when code ran."""
        return [*_queued(run, self.now), *_executed(run, self.now, "opened" if run.pk in self.opened else "child")]

    def _wait(self, wait: Wait) -> Lane:
        end = max(wait.created_at, self.now)
        kind = "sleep" if wait.kind in SLEEPS else "wait"
        bar = Bar(f"{kind} dw-t-open", wait.created_at, end, _so_far(wait.created_at, end))
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
        bars.append(Bar(f"{kind} dw-t-open", since, end, _so_far(since, end)))
        yield Lane(name="", words=str(text()), bars=bars, kind="now", depth=self.depth)

    def _between(self, first: Sequence[Lane], last: Sequence[Lane]) -> Lane:
        """The steps that have no lanes of their own."""
        bars = [
            Bar("failed" if part.failed else "step", part.start, part.end, _part(part.first, part.last, part.number, part.failed))
            for part in self.rows.between
        ]
        start = max(lane.start for lane in first)
        hidden = Bar("hidden", start, max(start, min(lane.start for lane in last)), "")
        words = ngettext("%(number)d step between these", "%(number)d steps between these", self.rows.left_out)
        return Lane(
            name="", words=words % {"number": self.rows.left_out}, bars=bars or [hidden], kind="between", depth=self.depth,
            left_out=self.rows.left_out, place=(self.rows.head[-1].branch, self.rows.head[-1].position + 1),
        )  # fmt: skip


_PRESENT = {
    S.RUNNING: ("now", lambda: _("a worker is at it")),
    S.CANCELLING: ("now", lambda: _("undoes its steps")),
    S.ENQUEUED: ("queued", lambda: _("waits for a worker")),
    S.DELAYED: ("queued", lambda: _("waits to be tried again")),
    S.PAUSED: ("paused", lambda: _("paused")),
}


def whole_run(run: WorkflowRun, now: datetime) -> Lane:
    """The first lane: how long it waited, and how long it took."""
    return Lane(name=run.name, kind="run", bars=[*_queued(run, now), *_executed(run, now, "run")])


def _queued(run: WorkflowRun, now: datetime) -> Iterator[Bar]:
    never_started = run.completed_at if run.status in TERMINAL else None
    end = run.started_at or never_started or max(run.created_at, now)
    if end > run.created_at or not run.started_at:
        kind = "queued" if run.started_at or run.status in TERMINAL else "queued dw-t-open"
        time = display.duration(end - run.created_at)
        yield Bar(kind, run.created_at, max(end, run.created_at), _("waited to be started: %(time)s") % {"time": time})


def _executed(run: WorkflowRun, now: datetime, kind: str) -> Iterator[Bar]:
    if run.started_at:
        end = max(run.started_at, run.completed_at or now)
        mark = "" if run.completed_at else " dw-t-open"
        state = RunState(run.status).label if run.status in RunState.values else run.status
        words = _("%(state)s, %(time)s") % {"state": state, "time": display.elapsed(run.started_at, run.completed_at)}
        yield Bar(f"{kind} dw-t-{run.status.lower() if run.status in RunState.values else 'unknown'}{mark}", run.started_at, end, words)


def _failures(failures: Sequence[StepAttempt], until: datetime) -> Iterator[Bar]:
    """Each failed attempt, and the pause after it. Those of one activation of the run have begun at once, say their rows."""
    since = failures[0].started_at if failures else until
    for failure, following in pairwise([*failures, None]):
        assert failure is not None
        start = max(failure.started_at, since)
        time = display.duration(failure.ended_at - start)
        words = _("attempt %(number)d failed after %(time)s") % {"number": failure.attempt, "time": time}
        yield Bar("failed", start, max(start, failure.ended_at), words)
        since = failure.ended_at
        if failure.retry_at:
            latest = until if following is None else following.ended_at
            since = max(failure.ended_at, min(failure.retry_at, latest))
            pause = display.duration(failure.retry_at - failure.ended_at)
            yield Bar("backoff", failure.ended_at, since, _("pause of %(time)s before the next attempt") % {"time": pause})


def _so_far(start: datetime, end: datetime) -> str:
    return _("%(time)s so far") % {"time": display.duration(end - start)}


def _part(first: int, last: int, number: int, failed: int) -> str:
    words = ngettext("%(number)d step, %(first)d to %(last)d", "%(number)d steps, %(first)d to %(last)d", number)
    text = words % {"number": number, "first": first, "last": last}
    return f"{text}: {_('%(failed)d failed') % {'failed': failed}}" if failed else text

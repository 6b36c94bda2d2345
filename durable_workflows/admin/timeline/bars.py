"""The bars of a timeline: each a span of time, and what it was spent on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from durable_workflows.admin import display
from durable_workflows.admin.timeline.reading import Bucket
from durable_workflows.models import Kind, StepAttempt, WorkflowRun
from durable_workflows.states import TERMINAL, RunState

SLEEPS = (Kind.SLEEP, Kind.RETRY)
WAITS = (Kind.RECV, Kind.GET_EVENT, Kind.RESULT, Kind.FIRST, Kind.SELECT, Kind.STREAM)


@dataclass(frozen=True, slots=True)
class Bar:
    """A span of time; ``kind`` is its class in the style sheet, ``first`` the first of the steps that it sums up."""

    kind: str
    start: datetime
    end: datetime
    title: str
    first: int | None = None


def outcome(step: Any, since: datetime) -> Bar:
    """A recorded position, from its start or from ``since``, when the last pause before it ended."""
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


def queued(run: WorkflowRun, now: datetime) -> Iterator[Bar]:
    """How long a run waited for its first worker."""
    never_started = run.completed_at if run.status in TERMINAL else None
    end = run.started_at or never_started or max(run.created_at, now)
    if end > run.created_at or not run.started_at:
        kind = "queued" if run.started_at or run.status in TERMINAL else "queued dw-t-open"
        time = display.duration(end - run.created_at)
        yield Bar(kind, run.created_at, max(end, run.created_at), _("waited to be started: %(time)s") % {"time": time})


def executed(run: WorkflowRun, now: datetime, kind: str) -> Iterator[Bar]:
    """From its start to its end, its waits included; the state is a class beside the ``kind``."""
    if run.started_at is None:
        return
    known = run.status in RunState.values
    state = f"dw-t-{run.status.lower() if known else 'unknown'}{'' if run.completed_at else ' dw-t-open'}"
    words = {"state": RunState(run.status).label if known else run.status}
    title = _("%(state)s, %(time)s") % {**words, "time": display.elapsed(run.started_at, run.completed_at)}
    yield Bar(f"{kind} {state}", run.started_at, max(run.started_at, run.completed_at or now), title)


def failed_attempts(failures: Sequence[StepAttempt], until: datetime) -> Iterator[Bar]:
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


def so_far(start: datetime, end: datetime) -> str:
    """In words, how long something lasts already."""
    return _("%(time)s so far") % {"time": display.duration(end - start)}


def summed_up(part: Bucket) -> str:
    """In words, which steps a part of a summary stands for."""
    words = ngettext("%(number)d step, %(first)d to %(last)d", "%(number)d steps, %(first)d to %(last)d", part.number)
    text = words % {"number": part.number, "first": part.first, "last": part.last}
    return f"{text}: {_('%(failed)d failed') % {'failed': part.failed}}" if part.failed else text

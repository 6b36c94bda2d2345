"""
Why one run does not go on, looked at more closely than a list can afford: the workers, the places of its queue, the run that
it waits for. At most as many queries as there are such things.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext as _

from durable_workflows.models import Kind, Turn, Wait, Worker, WorkflowRun, dialects
from durable_workflows.models.dialects import DatabaseNow
from durable_workflows.models.places import occupied_by
from durable_workflows.models.presence import alive
from durable_workflows.models.rates import Window
from durable_workflows.models.rules import FREE, Rules
from durable_workflows.models.steering import LEASED
from durable_workflows.situation import Situation, queues_of, said, sentence, situations
from durable_workflows.states import RunState
from durable_workflows.words import minute, moment, present, short_id

S = RunState


def situation(run: WorkflowRun) -> Situation:
    """What one run is doing."""
    at_first_sight = situations([run])[run.pk]
    look = _LOOKS.get(run.status)
    if look is None or (at_first_sight.alarming and run.status not in LEASED):
        return at_first_sight
    return look(run) or at_first_sight  # a list says only that the worker is gone


def _enqueued(run: WorkflowRun) -> Situation | None:
    its = queues_of([run]).get(run.queue, FREE)
    if run.turn != Turn.AHEAD and (its.problem or its.paused):
        return None
    if nobody := _nobody(run):
        return said(run, nobody, alarming=True)
    if run.turn == Turn.AHEAD:
        return said(run, _("goes on now, ahead of its queue, as soon as a worker is free"))
    if run.suspect or run.saga or run.holds_slot:
        return None
    full = _full(run, its)
    return said(run, full) if full else None


def _nobody(run: WorkflowRun) -> str:
    """Why no worker can take it; "" if one can."""
    workers = [worker for worker in alive(dialects.connection()) if not worker.direct]
    if not workers:
        return _("no worker is alive")
    serving = [worker for worker in workers if run.queue in (worker.queues or ())]
    if not serving:
        return _("no live worker serves its queue, “%(queue)s”") % {"queue": run.queue}
    serving = [worker for worker in serving if worker.drain_requested_at is None]
    if not serving:
        return _("all workers that serve its queue are draining")
    knowing = [worker for worker in serving if run.name in (worker.names or ())]
    if not knowing:
        return _("no live worker of its queue knows this workflow")
    if run.app_version and all(worker.app_version != run.app_version for worker in knowing):
        return _("no live worker of its queue has the version “%(version)s”") % {"version": run.app_version}
    return ""


def _full(run: WorkflowRun, its: Rules) -> str:
    """Which limit of its queue stands in the way; "" if none that is shared by all workers."""
    limits, connection = its.limits, dialects.connection()
    if limits.concurrency is not None or limits.partition_concurrency is not None:
        occupied, _kept = occupied_by(connection, run.queue)
        whole = (limits.concurrency, occupied.total(), _("its queue is full: %(number)d runs of %(most)d"))
        part = (
            limits.partition_concurrency,
            occupied[run.partition_key],
            _("its partition is full: %(number)d runs of %(most)d"),
        )
        for most, number, words in (whole, part):
            if most is not None and number >= most:
                return words % {"number": number, "most": most}
    if run.turn == Turn.NEW and (limits.limiter or limits.partition_limiter):
        window = Window(connection, run.queue, limits)
        if window.left(run.partition_key) == 0:
            until = present() + timedelta(seconds=window.seconds_until_more(run.partition_key))
            return _("its queue's rate is used up until %(time)s") % {"time": moment(until)}
    return ""


def _leased(run: WorkflowRun) -> Situation | None:
    """A worker that fell silent is nobody's until another one has noticed."""
    holder: Any = Worker.objects.filter(pk=run.worker_id).annotate(now=DatabaseNow()).first()
    if holder is None:
        return said(run, _("its worker is not there any more; another one takes it over"), alarming=True)
    if holder.lost_at or holder.stopped_at or holder.now - holder.heartbeat_at > timedelta(seconds=holder.lease_seconds):
        words = _("its worker, %(worker)s, is silent since %(time)s; another one takes it over")
        return said(run, words % {"worker": short_id(holder.pk), "time": moment(holder.heartbeat_at)}, alarming=True)
    if run.status == S.CANCELLING:
        return None
    return said(run, _("the process that called it runs it") if holder.direct else _("a worker runs it"))


def _waiting(run: WorkflowRun) -> Situation | None:
    waits = list(Wait.objects.filter(run=run, generation=run.generation).order_by("pk")[:2])
    if len(waits) == 1 and waits[0].kind in (Kind.RESULT, Kind.GET_EVENT, Kind.STREAM) and waits[0].source_id != run.pk:
        return said(run, sentence(waits[0], _state_of(waits[0].source_id)))
    return _due(run)


def _state_of(run_id: str | None) -> str:
    status = WorkflowRun.objects.filter(pk=run_id).values_list("status", flat=True).first()
    return _("not there yet") if status is None else str(RunState(status).label) if status in RunState.values else status


def _due(run: WorkflowRun) -> Situation | None:
    """What the clock wakes is woken by a worker."""
    if run.due_at is None or run.due_at > present():
        return None
    words = _("was due at %(time)s") % {"time": minute(run.due_at)}
    workers = [worker for worker in alive(dialects.connection()) if not worker.direct]
    if any(worker.drain_requested_at is None for worker in workers):
        return said(run, words)
    why = _("all workers are draining") if workers else _("no worker is alive")
    return said(run, f"{words}; {why}", alarming=True)


_LOOKS: dict[str, Callable[[WorkflowRun], Situation | None]] = {
    S.ENQUEUED: _enqueued,
    S.RUNNING: _leased,
    S.CANCELLING: _leased,
    S.WAITING: _waiting,
    S.DELAYED: _due,
}

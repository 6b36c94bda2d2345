"""
What a run is doing, in a sentence: whom or what it waits for, and since nobody likes to guess, why it does not run.

For many runs at once, as lists need it; of one ``closely`` knows more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count, F, Min
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from durable_workflows.limits import NO_LIMITS
from durable_workflows.models import Kind, QueueState, Stranded, Turn, Wait, WorkflowRun, dialects, presence
from durable_workflows.models.rules import FREE, Rules, rules_of
from durable_workflows.models.runs import Saga
from durable_workflows.models.steering import LEASED
from durable_workflows.states import UNFINISHED, RunState
from durable_workflows.words import minute, short_id

S = RunState


@dataclass(frozen=True, slots=True)
class Situation:
    """A sentence, and whether somebody should act."""

    text: str
    alarming: bool = False


@dataclass(frozen=True, slots=True)
class Around:
    """What the rows of other tables say about some runs."""

    waits: dict[str, tuple[Wait, int]]  # the first wait, and how many there are
    queues: dict[str, Rules]  # what holds for those in which one of the runs is enqueued
    alive: frozenset[str] | None  # the workers whose leases hold; None: no run is leased


def situations(runs: Sequence[WorkflowRun]) -> dict[str, Situation]:
    """The situation of each run by its id, in at most four queries however many runs there are."""
    around = Around(_waits_of(runs), queues_of(runs), alive_of(runs))
    return {run.pk: describe(run, around) for run in runs}


def _waits_of(runs: Sequence[WorkflowRun]) -> dict[str, tuple[Wait, int]]:
    """A run may have thousands, of which one is shown."""
    waiting = [run.pk for run in runs if run.status == S.WAITING]
    current = Wait.objects.filter(run_id__in=waiting, generation=F("run__generation"))
    found = list(current.values("run_id").annotate(first=Min("pk"), number=Count("pk")))
    waits = Wait.objects.in_bulk([row["first"] for row in found])
    return {row["run_id"]: (waits[row["first"]], row["number"]) for row in found if row["first"] in waits}


def queues_of(runs: Sequence[WorkflowRun]) -> dict[str, Rules]:
    """What holds for the queues in which one of the runs is enqueued."""
    names = {run.queue for run in runs if run.status == S.ENQUEUED}
    rows = QueueState.objects.filter(name__in=names).values_list("name", "paused", "declared", "overrides", "revision")
    return {name: rules_of(*row) for name, *row in rows}


def alive_of(runs: Sequence[WorkflowRun]) -> frozenset[str] | None:
    if not any(run.status in LEASED for run in runs):
        return None
    return frozenset(worker.pk for worker in presence.alive(dialects.connection()))


def describe(run: WorkflowRun, around: Around) -> Situation:
    """One run's situation."""
    alarm = _alarm(run, around)
    return said(run, alarm or _sentence(run, around), alarming=bool(alarm))


def said(run: WorkflowRun, text: str, *, alarming: bool = False) -> Situation:
    """A sentence on a run; its progress comes first."""
    return Situation(" · ".join(part for part in (_progress(run), text) if part), alarming)


def _alarm(run: WorkflowRun, around: Around) -> str:
    if run.status == S.MAX_RECOVERY_ATTEMPTS_EXCEEDED:
        return _noted(_("given up: its workers died too often"), run)
    if run.status in LEASED and run.worker_id and around.alive is not None and run.worker_id not in around.alive:
        return _("its worker is gone, and no other has taken it over yet")
    if run.status != S.ENQUEUED or not run.stranded:
        return ""
    if run.stranded == Stranded.NAME:
        return _("nobody knows this workflow: no live worker has its code")
    if run.stranded == Stranded.HISTORY:
        return _noted(_("its code no longer fits its history"), run)
    return _noted(_("its stored data cannot be read"), run)


def _noted(text: str, run: WorkflowRun) -> str:
    note = getattr(run, "note_head", "")  # annotated by the querysets of lists: notes may be long
    return f"{text} ({note})" if note else text


def _progress(run: WorkflowRun) -> str:
    if run.status not in UNFINISHED or run.progress_done is None:
        return run.progress_text or "" if run.status in UNFINISHED else ""
    done = f"{run.progress_done}/{run.progress_total}" if run.progress_total else str(run.progress_done)
    return f"{done} {run.progress_text or ''}".strip()


def _sentence(run: WorkflowRun, around: Around) -> str:
    if run.status == S.ENQUEUED:
        return _enqueued(run, around)
    if run.status == S.WAITING:
        return _waiting(run, around)
    if run.status == S.DELAYED:
        return _("starts at %(time)s") % {"time": minute(run.due_at)}
    return {
        S.RUNNING.value: _("a worker runs it"),
        S.PAUSED.value: _("paused by an operator"),
        S.CANCELLING.value: _("undoes its steps"),
    }.get(run.status, "")


def _enqueued(run: WorkflowRun, around: Around) -> str:
    its = FREE if run.turn == Turn.AHEAD else around.queues.get(run.queue, FREE)
    if its.problem:
        return _("its queue's limits cannot be read")
    if its.paused:
        return _("its queue is paused")
    if run.suspect:
        return _("waits to run alone: it may have killed a worker")
    if run.saga == Saga.CANCELLED:
        return _("was cancelled, and waits for a worker to undo its steps")
    return _("waits for a worker, and its queue has limits") if its.limits != NO_LIMITS else _("waits for a worker")


def _waiting(run: WorkflowRun, around: Around) -> str:
    if run.pk not in around.waits:
        return _("waits until %(time)s") % {"time": minute(run.due_at)} if run.due_at else _("waits")
    wait, number = around.waits[run.pk]
    if wait.kind == Kind.FIRST:
        return _("waits for the first of %(number)d") % {"number": number}
    others = ngettext(", and %(number)d more", ", and %(number)d more", number - 1) % {"number": number - 1}
    return sentence(wait) + (others if number > 1 else "")


def sentence(wait: Wait, source: str = "") -> str:
    """
    What one wait is for, and until when at the latest.

    :param source: how the awaited run stands, if that is known.
    """
    run = short_id(wait.source_id or "")
    words = {"key": wait.key, "run": f"{run} ({source})" if source else run, "time": minute(wait.due_at)}
    if wait.kind == Kind.SLEEP:
        return _("sleeps until %(time)s") % words
    if wait.kind == Kind.RETRY:
        return _("tries again at %(time)s") % words
    text = {
        Kind.RECV.value: _("waits for message “%(key)s”") if wait.key else _("waits for a message"),
        Kind.GET_EVENT.value: _("waits for event “%(key)s” of run %(run)s"),
        Kind.STREAM.value: _("waits for stream “%(key)s” of run %(run)s"),
        Kind.RESULT.value: _("waits for the result of run %(run)s"),
        Kind.FIRST.value: _("waits for run %(run)s, or another"),
    }.get(wait.kind, _("waits"))
    limit = _(", until %(time)s at the latest") if wait.due_at else ""
    return (text + limit) % words

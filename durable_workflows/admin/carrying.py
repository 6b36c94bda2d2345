"""How a verb is carried out: on any number of runs, some at a time, each time in one transaction with its log entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q

from durable_workflows import clock
from durable_workflows.admin.looking import Look, Place
from durable_workflows.admin.verb import Verb
from durable_workflows.exceptions import DurableError, InvalidUse
from durable_workflows.models import WorkflowRun
from durable_workflows.models.runs import Saga
from durable_workflows.models.transactions import in_write_transaction
from durable_workflows.models.waking import lock

AT_ONCE = 500
LONGEST = 15.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """
    How far a deed got.

    :param left: how many runs were left alone, ``left_more``: at least.
    :param after: the last run that was come by; None: there are no others.
    :param refused: how many runs it could not be done to, ``reason``: why the first of them.
    :param error: why it ended before that; what was done before stays done.
    """

    done: int = 0
    left: int = 0
    left_more: bool = False
    refused: int = 0
    reason: str = ""
    after: Place | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doing:
    """
    A verb, and who does it.

    :param with_option: whether the option of the confirmation page was taken.
    """

    verb: Verb
    user_id: Any
    with_option: bool

    def carry_out(self, doable: Look, progress: Progress) -> Progress:
        """Go on from where it got, ``AT_ONCE`` runs at a time, until none is left or the time is up."""
        since = clock.monotonic()
        while True:
            page = doable.page(AT_ONCE, after=progress.after)
            ids = [run.pk for run in page.runs]
            try:
                progress = replace(self._done_to(ids, progress), after=page.after)
            except DurableError as error:
                return replace(progress, left=progress.left + len(ids), after=None, error=str(error))
            if page.after is None or clock.monotonic() - since > LONGEST:
                return progress

    def _done_to(self, ids: Sequence[str], before: Progress) -> Progress:
        """All or nothing; if one of them refuses, one by one, so that it stands in nobody's way."""
        try:
            done = len(in_write_transaction(self._do, ids)) if ids else 0
        except InvalidUse:
            return self._one_by_one(ids, before)
        return replace(before, done=before.done + done, left=before.left + len(ids) - done)

    def _one_by_one(self, ids: Sequence[str], progress: Progress) -> Progress:
        for run_id in ids:
            try:
                done = len(in_write_transaction(self._do, [run_id]))
                progress = replace(progress, done=progress.done + done, left=progress.left + 1 - done)
            except DurableError as error:
                progress = replace(progress, refused=progress.refused + 1, reason=progress.reason or str(error))
        return progress

    def _do(self, connection: BaseDatabaseWrapper, ids: Sequence[str]) -> Sequence[str]:
        """The ids of the runs that it was done to. No deed without its log entry."""
        lock(connection, ids)
        # Since they were read, one may have come to its end, or be gone.
        present = WorkflowRun.objects.using(connection.alias).filter(pk__in=ids).select_for_update()
        held = {run.pk: run for run in self.verb.applying(present).only("pk", "name", "status")}
        if self.verb.removes:
            self._log([*held.values()])  # while there is something to log of
        if held:
            self.verb.call([*held], self.with_option)
        done = self._got_hold_of([*held])
        if not self.verb.removes:
            self._log([held[run_id] for run_id in done])
        return done

    def _got_hold_of(self, ids: Sequence[str]) -> Sequence[str]:
        if not self.verb.arrives_in:
            return ids
        # One that waited with a saga open is enqueued, to be undone.
        arrived = Q(status__in=self.verb.arrives_in) | Q(saga=Saga.CANCELLED)
        return list(WorkflowRun.objects.filter(arrived, pk__in=ids).values_list("pk", flat=True))

    def _log(self, runs: Sequence[WorkflowRun]) -> None:
        if runs:
            LogEntry.objects.log_actions(
                user_id=self.user_id,
                queryset=cast(Any, runs),
                action_flag=DELETION if self.verb.removes else CHANGE,
                change_message=self.verb.logged_with_option if self.with_option else self.verb.logged,
            )

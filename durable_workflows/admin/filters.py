"""
The filters of the list of runs: what a run's state says.

Each says which index finds its runs, if one does, and ``looking`` reads along that. The choices come from small tables
and from this process, never from scanning the runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Exists, F, OuterRef, Q
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from durable_workflows.admin.base import ModelAdmin
from durable_workflows.admin.display import present
from durable_workflows.admin.looking import Runs
from durable_workflows.models import StepAttempt, StepRun, Stranded, Wait, dialects, presence
from durable_workflows.models.indexes import Implied, Literal
from durable_workflows.models.runs import LEASED, SET_APART, claimable, unclaimable
from durable_workflows.states import UNFINISHED, RunState

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList

    Choices = list[tuple[str, Any]]

S = RunState
NUL = "\0"  # PostgreSQL's driver refuses to send it
LAST_FAILED = 5_000
ENQUEUED = claimable(Literal) | unclaimable(Literal)


class RunFilter(admin.SimpleListFilter):
    """
    A filter, and which index has its runs.

    A value that it does not know is that of no run: what is done to all that match must not be done to all there are.
    """

    template = "admin/durable_workflows/workflowrun/filter.html"
    folded = False  # until it is used
    surely_few = False  # what ``few`` finds is few by its making, and need not be counted

    def few(self, runs: Runs) -> Runs | None:
        """The runs of the chosen value, if an index has them and seldom many others."""
        return None

    def in_order(self, runs: Runs) -> Runs | None:
        """The runs of the chosen value, if an index has them in the order of creation."""
        return None

    def served(self, runs: Runs) -> Runs | None:
        """
        The runs of the chosen value, if an index has them in whatever way.

        In the words of the index's condition, which a planner does not find out by itself.
        """
        in_order = self.in_order(runs)
        return self.few(runs) if in_order is None else in_order

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """As ever, and first of all how the template shows them."""
        yield {"settings": {"open": not self.folded or self.value() is not None}}
        yield from super().choices(changelist)


class StatusFilter(RunFilter):
    """By one state, or by having come to an end or not."""

    title = _("status")
    parameter_name = "status__exact"
    groups = {"unfinished": (UNFINISHED, _("not ended")), "ended": (frozenset(S) - UNFINISHED, _("ended"))}

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> Choices:
        return [*((key, label) for key, (_states, label) in self.groups.items()), *RunState.choices]

    def queryset(self, request: HttpRequest, queryset: Runs) -> Runs:
        value = self.value()
        if value is None:
            return queryset
        if (served := self.served(queryset)) is not None:
            return served
        if value in self.groups:
            return queryset.filter(status__in=self.groups[value][0])
        return queryset.filter(status=value) if value in S.values else queryset.none()

    def in_order(self, runs: Runs) -> Runs | None:
        value = self.value()
        apart = value in S.values and value not in (S.ENQUEUED, S.RUNNING, S.SUCCESS)
        return runs.filter(Implied(SET_APART), status=value) if apart else None

    def few(self, runs: Runs) -> Runs | None:
        value = self.value()
        if value == S.RUNNING:
            return runs.filter(Implied(LEASED), status=value)
        if value == S.ENQUEUED:
            return runs.filter(ENQUEUED)
        if value == "unfinished":
            idle = Q(Implied(SET_APART)) & Q(status__in=UNFINISHED - {S.ENQUEUED, S.RUNNING, S.CANCELLING})
            return runs.filter(LEASED | ENQUEUED | idle)
        return None


class StuckFilter(RunFilter):
    """Runs that nobody can execute until somebody acts, or whose worker is gone."""

    title = _("stuck")
    parameter_name = "stuck"
    reasons = {
        "any": _("for any reason"),
        Stranded.NAME.value: _("nobody knows the workflow"),
        Stranded.HISTORY.value: _("code and history differ"),
        Stranded.PAYLOAD.value: _("stored data unreadable"),
        "worker": _("its worker is gone"),
    }

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> Choices:
        return list(self.reasons.items())

    def queryset(self, request: HttpRequest, queryset: Runs) -> Runs:
        if self.value() is None:
            return queryset
        return queryset.none() if (stuck := self.few(queryset)) is None else stuck

    def few(self, runs: Runs) -> Runs | None:
        value = self.value()
        if value not in self.reasons:
            return None
        stranded = unclaimable(Literal) & ~Q(stranded=Literal(""))
        if value == "any":
            return runs.filter(stranded | self._forsaken)
        return runs.filter(self._forsaken) if value == "worker" else runs.filter(stranded, stranded=value)

    @cached_property
    def _forsaken(self) -> Q:
        alive = [worker.pk for worker in presence.alive(dialects.connection())]
        return LEASED & ~Q(worker_id__in=alive)


class WaitingLongerFilter(RunFilter):
    """Suspended runs one of whose waits began longer ago; a replay in between does not make it younger."""

    title = _("waiting longer than")
    parameter_name = "waiting"
    spans = {
        "1h": (timedelta(hours=1), _("an hour")),
        "1d": (timedelta(days=1), _("a day")),
        "7d": (timedelta(days=7), _("a week")),
        "30d": (timedelta(days=30), _("30 days")),
    }

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> Choices:
        return [(key, label) for key, (_span, label) in self.spans.items()]

    def queryset(self, request: HttpRequest, queryset: Runs) -> Runs:
        if self.value() is None:
            return queryset
        waiting = self.in_order(queryset)
        if waiting is None:
            return queryset.none()
        current = Wait.objects.filter(run=OuterRef("pk"), generation=OuterRef("generation"))
        return waiting.filter(Exists(current.filter(created_at__lt=self._since())))

    def in_order(self, runs: Runs) -> Runs | None:
        """A run is older than what it waits for."""
        if self.value() not in self.spans:
            return None
        return runs.filter(Implied(SET_APART), status=S.WAITING, created_at__lt=self._since())

    def _since(self) -> Any:
        return present() - self.spans[str(self.value())][0]  # not the database's clock, which planners cannot reckon with


class RetryingFilter(RunFilter):
    """
    Runs that have not ended and in which an attempt of a step has failed that has no outcome yet.

    Of the failed attempts the last ``LAST_FAILED`` are looked at: one that is to be repeated is seldom an old one.
    """

    title = _("retrying")
    parameter_name = "retrying"
    surely_few = True

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> Choices:
        return [("yes", _("a step failed and is tried again"))]

    def queryset(self, request: HttpRequest, queryset: Runs) -> Runs:
        if self.value() is None:
            return queryset
        return queryset.none() if (retrying := self.few(queryset)) is None else retrying

    def few(self, runs: Runs) -> Runs | None:
        if self.value() != "yes":
            return None
        place = {name: OuterRef(name) for name in ("run_id", "generation", "branch", "position")}
        failed = StepAttempt.objects.filter(pk__gt=self._not_before, generation=F("run__generation"))
        open_ = failed.filter(~Exists(StepRun.objects.filter(**place)), run__status__in=UNFINISHED)
        return runs.filter(pk__in=open_.values("run_id"))

    @cached_property
    def _not_before(self) -> int:
        newest_first = StepAttempt.objects.order_by("-pk").values_list("pk", flat=True)
        return newest_first[LAST_FAILED : LAST_FAILED + 1].first() or 0

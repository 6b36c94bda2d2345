"""The filters of the list of runs. Their choices come from small tables and this process, never from scanning the runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from durable_workflows import registry
from durable_workflows.admin.base import ModelAdmin
from durable_workflows.admin.display import present, split_name
from durable_workflows.definitions import Workflow
from durable_workflows.models import QueueState, Stranded, Wait
from durable_workflows.states import RunState

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList

    Choices = list[tuple[str, Any]]

NUL = "\0"  # PostgreSQL's driver refuses to send it


class NameFilter(admin.SimpleListFilter):
    """A workflow known here by a click, any other by a part of its name, typed in."""

    title = _("workflow")
    parameter_name = "workflow"
    template = "admin/durable_workflows/workflowrun/name_filter.html"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> Choices:
        return [(name, split_name(name)[0]) for name in self._known()]

    def has_output(self) -> bool:
        return True  # the text box, even where no workflow is known

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """As ever, and first of all what the text box needs."""
        kept = [pair for pair in changelist.params.items() if pair[0] != self.parameter_name]
        value = self.value() or ""
        yield {"box": {"name": self.parameter_name, "kept": kept, "value": "" if value in self._known() else value}}
        yield from super().choices(changelist)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if not value:
            return queryset
        if NUL in value:
            return queryset.none()
        return queryset.filter(name=value) if value in self._known() else queryset.filter(name__contains=value)

    def _known(self) -> list[str]:
        return [definition.name for definition in registry.definitions() if isinstance(definition, Workflow)]


class QueueFilter(admin.SimpleListFilter):
    """By the queues that have a row, the default one, and the one filtered by."""

    title = _("queue")
    parameter_name = "queue"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> Choices:
        names = {"default", *QueueState.objects.values_list("name", flat=True)} | {self.value() or "default"}
        return [(name, name) for name in sorted(names)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if not value:
            return queryset
        return queryset.none() if NUL in value else queryset.filter(queue=value)


class WaitingLongerFilter(admin.SimpleListFilter):
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

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if (value := self.value()) not in self.spans:
            return queryset
        since = present() - self.spans[value][0]  # not the database's clock, which planners cannot reckon with
        current = Wait.objects.filter(run=OuterRef("pk"), generation=OuterRef("generation"))
        return queryset.filter(Exists(current.filter(created_at__lt=since)), status=RunState.WAITING)


class StuckFilter(admin.SimpleListFilter):
    """Runs that no worker can execute until somebody acts."""

    title = _("stuck")
    parameter_name = "stuck"
    reasons = {
        "any": _("for any reason"),
        Stranded.NAME.value: _("nobody knows the workflow"),
        Stranded.HISTORY.value: _("code and history differ"),
        Stranded.PAYLOAD.value: _("stored data unreadable"),
    }

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> Choices:
        return list(self.reasons.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if (value := self.value()) not in self.reasons:
            return queryset
        stuck = queryset.filter(status=RunState.ENQUEUED)
        return stuck.exclude(stranded=Stranded.NO) if value == "any" else stuck.filter(stranded=value)

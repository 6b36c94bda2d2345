"""The filters of the list of runs: to whom or what a run belongs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from durable_workflows import registry
from durable_workflows.admin.base import ModelAdmin
from durable_workflows.admin.display import split_name
from durable_workflows.admin.filters import NUL, RunFilter
from durable_workflows.admin.looking import Runs
from durable_workflows.conf import config
from durable_workflows.definitions import Workflow
from durable_workflows.models import QueueState, Schedule, Worker

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList

    from durable_workflows.admin.filters import Choices

OFFERED = 100  # choices of a filter; any other value may be written into the address


class NameFilter(RunFilter):
    """A workflow known here by a click, any other by a part of its name, typed in."""

    title = _("workflow")
    parameter_name = "workflow"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> Choices:
        return [(name, split_name(name)[0]) for name in self._known()]

    def has_output(self) -> bool:
        return True  # the text box, even where no workflow is known

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        settings, *choices = super().choices(changelist)
        kept = [pair for pair in changelist.params.items() if pair[0] != self.parameter_name]
        value = self.value() or ""
        box = {"name": self.parameter_name, "kept": kept, "value": "" if value in self._known() else value}
        yield {"settings": {**settings["settings"], "box": box}}
        yield from choices

    def queryset(self, request: HttpRequest, queryset: Runs) -> Runs:
        value = self.value()
        if not value:
            return queryset
        if NUL in value:
            return queryset.none()
        return queryset.filter(name=value) if value in self._known() else queryset.filter(name__contains=value)

    def _known(self) -> list[str]:
        return [definition.name for definition in registry.definitions() if isinstance(definition, Workflow)]


class FieldFilter(RunFilter, ABC):
    """By the value of a column; the choices are what a small table has, and what is filtered by."""

    field: str
    folded = True

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> Choices:
        offered = dict(self.offered())
        if value := self.value():
            offered.setdefault(value, value)
        return list(offered.items())

    @abstractmethod
    def offered(self) -> Choices:
        """The choices, as (value, label)."""

    def queryset(self, request: HttpRequest, queryset: Runs) -> Runs:
        value = self.value()
        if not value:
            return queryset
        return queryset.none() if NUL in value else queryset.filter(**{self.field: value})


class QueueFilter(FieldFilter):
    """By the queues that have a row, and the default one."""

    title = _("queue")
    parameter_name = field = "queue"
    folded = False

    def offered(self) -> Choices:
        names = {"default", *QueueState.objects.order_by("name").values_list("name", flat=True)[:OFFERED]}
        return [(name, name) for name in sorted(names)]


class VersionFilter(FieldFilter):
    """By the versions of the workers there are or were lately, and of this process."""

    title = _("version")
    parameter_name = "version"
    field = "app_version"

    def offered(self) -> Choices:
        found = Worker.objects.order_by().values_list("app_version", flat=True).distinct()[:OFFERED]
        return [(version, version) for version in sorted({*found, config().app_version} - {""})]


class ScheduleFilter(FieldFilter):
    """By the schedule that started it."""

    title = _("schedule")
    parameter_name = "schedule_name__exact"
    field = "schedule_name"

    def offered(self) -> Choices:
        return [(name, name) for name in Schedule.objects.order_by("name").values_list("name", flat=True)[:OFFERED]]

    def in_order(self, runs: Runs) -> Runs | None:
        value = self.value()
        return runs.filter(schedule_name=value) if value and NUL not in value else None


class WorkerFilter(FieldFilter):
    """By the worker that runs it, or was the last that did; those that have not ended are offered."""

    title = _("worker")
    parameter_name = "worker"
    field = "worker_id"

    def offered(self) -> Choices:
        present = Worker.objects.filter(stopped_at__isnull=True, lost_at__isnull=True, direct=False).order_by("hostname", "pid")
        return [(row[0], f"{row[1]}:{row[2]}") for row in present.values_list("pk", "hostname", "pid")[:OFFERED]]


class OriginFilter(RunFilter):
    """By whether another run started it."""

    title = _("started by")
    parameter_name = "origin"
    folded = True
    answers = {"top": (True, _("no other run")), "child": (False, _("another run"))}

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin) -> Choices:
        return [(key, label) for key, (_top, label) in self.answers.items()]

    def queryset(self, request: HttpRequest, queryset: Runs) -> Runs:
        if (value := self.value()) is None:
            return queryset
        if value not in self.answers:
            return queryset.none()
        return queryset.filter(parent__isnull=self.answers[value][0])

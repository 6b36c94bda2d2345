"""The filter by time of creation: the last hour, day or week, or from one moment to another."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import Model
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext_lazy as _

from durable_workflows.admin.base import ModelAdmin
from durable_workflows.admin.display import local, present
from durable_workflows.admin.looking import Runs
from durable_workflows.conf import uses_time_zones

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList

PARAMETERS = LAST, FROM, TO = "created", "created_at__gte", "created_at__lt"
SPANS = {
    "1h": (timedelta(hours=1), _("last hour")),
    "1d": (timedelta(days=1), _("last 24 hours")),
    "7d": (timedelta(days=7), _("last 7 days")),
    "30d": (timedelta(days=30), _("last 30 days")),
}


class TimeFilter(admin.ListFilter):
    """All three parameters may be combined; a moment without a zone is one of the project's."""

    title = _("time of creation")
    template = "admin/durable_workflows/workflowrun/filter.html"
    parameter_names = PARAMETERS

    def __init__(self, request: HttpRequest, params: dict[str, list[str]], model: type[Model], model_admin: ModelAdmin) -> None:
        super().__init__(request, params, model, model_admin)
        self.given = {name: params.pop(name)[-1] for name in PARAMETERS if name in params}
        self.bounds = {name: _moment(self.given[name]) for name in (FROM, TO) if self.given.get(name)}
        last = self.given.get(LAST, "")
        self.unknown = bool(last) and last not in SPANS
        if span := SPANS.get(last):
            since = present() - span[0]
            self.bounds[FROM] = max(since, self.bounds.get(FROM, since))

    def expected_parameters(self) -> list[str | None]:
        return [*PARAMETERS]

    def has_output(self) -> bool:
        return True

    def queryset(self, request: HttpRequest, queryset: Runs) -> Runs:
        """The index of the time of creation serves it, alone or behind another column."""
        return queryset.none() if self.unknown else queryset.filter(**self.bounds)

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        kept = [pair for pair in changelist.params.items() if pair[0] not in PARAMETERS]
        asked = [(name, label, self._shown(name)) for name, label in ((FROM, _("from")), (TO, _("to, exclusive")))]
        yield {"settings": {"open": True, "range": {"kept": kept, "asked": asked}}}
        every = {"selected": not self.given, "query_string": changelist.get_query_string(remove=[*PARAMETERS])}
        yield {**every, "display": _("Any time")}
        for key, (_span, label) in SPANS.items():
            link = changelist.get_query_string({LAST: key}, [FROM, TO])
            yield {"selected": self.given.get(LAST) == key, "query_string": link, "display": label}

    def _shown(self, name: str) -> str:
        """As ``<input type="datetime-local">`` wants it."""
        if not self.given.get(name):
            return ""
        return f"{local(_moment(self.given[name])):%Y-%m-%dT%H:%M:%S}".removesuffix(":00")


def _moment(text: str) -> datetime:
    try:
        moment = parse_datetime(text)
        if moment is None:
            raise ValueError(f"{text!r} is no moment.")
        if uses_time_zones():
            return moment if moment.tzinfo else timezone.make_aware(moment)
        return timezone.make_naive(moment) if moment.tzinfo else moment
    except (ValueError, OverflowError) as error:
        raise IncorrectLookupParameters(error) from error

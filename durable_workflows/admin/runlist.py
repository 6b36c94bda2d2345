"""Django's change list with the pages of ``looking`` in place of numbered ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from django.contrib import messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from durable_workflows.admin import display, looking
from durable_workflows.admin.filters import RunFilter
from durable_workflows.admin.looking import Count, Look, Page, Place, is_few
from durable_workflows.admin.search import Search
from durable_workflows.admin.sight import may_see_payloads
from durable_workflows.admin.timespan import TimeFilter
from durable_workflows.models import WorkflowRun
from durable_workflows.situation import situations

AFTER, BEFORE = "after", "before"
NEWEST_FIRST, OLDEST_FIRST = ["-created_at", "-pk"], ["created_at", "pk"]


class RunList(ChangeList):
    """
    The list knows what each of its runs waits for, by as many queries for one run as for all.

    Filters, search and order are Django's. A page is what comes ``after`` a place, or ``before`` one.
    """

    look: Look
    page: Page
    count: Count | None  # of a first page alone: it is not counted again for each

    def get_filters(self, request: HttpRequest) -> Any:
        """A link to another filter leads to its first page."""
        for name in (AFTER, BEFORE):
            self.params.pop(name, None)
            self.filter_params.pop(name, None)
        return super().get_filters(request)

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """By the time of creation, one way or the other; of runs created at once, by id."""
        asked = [str(part) for part in super().get_ordering(request, queryset)]
        return OLDEST_FIRST if asked[:1] == OLDEST_FIRST[:1] else NEWEST_FIRST

    def get_results(self, request: HttpRequest) -> None:
        if refusal := Search.read(self.query).refusal(may_see_payloads(request)):
            messages.warning(request, refusal)
        self.look = self._look(request)
        self.page = self.look.page(self.list_per_page, after=_place(request, AFTER), before=_place(request, BEFORE))
        runs = list(self.page.runs)
        found = situations(runs)
        for run in runs:
            cast(Any, run).situation = found[run.pk]
        self.count = self.look.count(self.page) if self.page.before is None else None
        # What Django's templates ask for.
        self.result_list = cast(Any, runs)
        self.result_count = self.count.number if self.count else len(runs)
        self.show_full_result_count, self.full_result_count = False, self.result_count
        self.show_admin_actions = bool(runs)
        self.can_show_all, self.multi_page = False, bool(self.page.before or self.page.after)
        self.paginator = Paginator(runs, self.list_per_page)

    def _look(self, request: HttpRequest) -> Look:
        every = WorkflowRun.objects.all()
        filters = [spec for spec in self.filter_specs if isinstance(spec, RunFilter)]
        orders = (spec.in_order(every) for spec in filters)
        apart = next((runs for runs in orders if runs is not None), None)
        along, farthest = (every, looking.FARTHEST) if apart is None else (apart, looking.FARTHEST_APART)
        for spec in self.filter_specs:
            if isinstance(spec, TimeFilter):
                along = spec.queryset(request, along)
        newest_first = self.get_ordering(request, self.queryset) == NEWEST_FIRST
        few = self._is_few(filters)
        return Look(matching=self.queryset, along=along, farthest=farthest, few=few, newest_first=newest_first)

    def _is_few(self, filters: Sequence[RunFilter]) -> bool:
        every = WorkflowRun.objects.all()
        if any(spec.surely_few and spec.few(every) is not None for spec in filters):
            return True
        found = (ask(every) for ask in (Search.read(self.query).few, *(spec.few for spec in filters)))
        return any(is_few(runs) for runs in found if runs is not None)

    # What the templates of this list ask for.

    @property
    def first_link(self) -> str:
        """The address of the first page; "" on it."""
        return self.get_query_string() if self.page.before else ""

    @property
    def before_link(self) -> str:
        """The address of the page before; "" on the first."""
        return self.get_query_string({BEFORE: self.page.before}) if self.page.before else ""

    @property
    def after_link(self) -> str:
        """The address of the next page; "" on the last."""
        return self.get_query_string({AFTER: self.page.after}) if self.page.after else ""

    @property
    def before_label(self) -> str:
        return _("Newer") if self.look.newest_first else _("Older")

    @property
    def after_label(self) -> str:
        return _("Older") if self.look.newest_first else _("Newer")

    @property
    def looked_at(self) -> str:
        """How many runs were looked at, where the look ended before the list did."""
        return display.number(self.look.farthest)

    @property
    def until_label(self) -> SafeString | None:
        return display.timestamp(self.page.until)

    @property
    def is_narrowed(self) -> bool:
        """Whether there may be runs that this list leaves out."""
        return bool(self.has_active_filters or self.query)

    @property
    def total_label(self) -> str:
        if self.count is None:
            return ngettext("%(number)s run on this page", "%(number)s runs on this page", len(self.result_list)) % {
                "number": len(self.result_list)
            }
        words = ngettext("%(number)s workflow run", "%(number)s workflow runs", 2 if self.count.more else self.count.number)
        return words % {"number": display.number(self.count.number, self.count.more)}

    @property
    def select_all_label(self) -> str:
        if self.count is None or self.count.more:
            return _("Select all runs that match, on this page and the others") if self.is_narrowed else _("Select all runs")
        return _("Select all %(number)s runs") % {"number": display.number(self.count.number)}

    @property
    def all_selected_label(self) -> str:
        if self.count is None or self.count.more:
            return _("All runs that match are selected") if self.is_narrowed else _("All runs are selected")
        return _("All %(number)s runs are selected") % {"number": display.number(self.count.number)}


def _place(request: HttpRequest, name: str) -> Place | None:
    text = request.GET.get(name)
    try:
        return Place.read(text) if text else None
    except ValueError as error:
        raise IncorrectLookupParameters(error) from error


def kept(request: HttpRequest) -> list[tuple[str, Any]]:
    """The filters, search and order that a request's address has, without its place."""
    return [(name, value) for name, values in request.GET.lists() if name not in (AFTER, BEFORE) for value in values]

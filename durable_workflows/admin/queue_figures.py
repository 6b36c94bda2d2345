"""What goes on in a queue, beside what holds for it: in the list by as many queries for one as for all, and on its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from durable_workflows.admin import charts
from durable_workflows.admin.base import BaseAdmin
from durable_workflows.admin.overview import age, number
from durable_workflows.limits import Limits
from durable_workflows.models import QueueState, backlog, dialects
from durable_workflows.models.backlog import EMPTY, Depth
from durable_workflows.models.reading import database_now
from durable_workflows.models.rules import rules_for
from durable_workflows.states import RunState

PARTITIONS, OF_PARTITION = 20, 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """
    A queue's.

    :param put_off: delayed runs; ``all_put_off`` if that is all of them.
    :param kept: places of runs that wait.
    :param started: in the window of its limiter; None if it has none.
    """

    limits: Limits
    now: datetime
    depth: Depth
    put_off: int
    all_put_off: bool
    running: int
    kept: int
    started: int | None


def figures_of(queues: Sequence[QueueState]) -> dict[str, Figures]:
    """Of several, in six queries."""
    connection, names = dialects.connection(), [queue.pk for queue in queues]
    limits = {queue.pk: rules_for(queue).limits for queue in queues}
    now, depths = database_now(connection), backlog.depths(connection, names)
    running, kept = backlog.occupied(connection, names)
    put_off, all_put_off = backlog.put_off(connection)
    periods = {name: its.limiter.period for name, its in limits.items() if its.limiter}
    started = backlog.starts(connection, periods)
    return {
        name: Figures(
            limits=limits[name], now=now, depth=depths.get(name, EMPTY), put_off=put_off[name], all_put_off=all_put_off,
            running=running[name], kept=kept[name], started=started.get(name, 0) if name in periods else None,
        )
        for name in names
    }  # fmt: skip


class QueueList(ChangeList):
    """The list knows what goes on in each of its queues."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        queues = list(cast("QuerySet[QueueState]", self.result_list))
        found = figures_of(queues) if queues else {}
        for queue in queues:
            cast(Any, queue).figures = found[queue.pk]
        self.result_list = cast(Any, queues)


class QueueFigures(BaseAdmin):
    """The columns of the list, and the fields of the page, that say what goes on."""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return QueueList

    def _figures(self, queue: Any) -> Figures:
        if not hasattr(queue, "figures"):
            queue.figures = figures_of([queue])[queue.pk]
        return cast(Figures, queue.figures)

    @admin.display(description=_("waiting"))
    def enqueued(self, queue: QueueState) -> SafeString | str:
        """For a worker, and for a moment."""
        its = self._figures(queue)
        enqueued = self._link(queue, RunState.ENQUEUED, number(its.depth.waiting))
        lines: list[SafeString | str] = [enqueued]
        if its.depth.oldest:
            lines.append(gettext("the oldest for %(time)s") % {"time": age(its.depth.oldest, its.now)})
        if its.put_off:
            text = gettext("%(number)s delayed") % {"number": f"{its.put_off:,}{'' if its.all_put_off else '+'}"}
            lines.append(self._link(queue, RunState.DELAYED, text))
        return _lines(lines)

    @admin.display(description=_("running"))
    def executed(self, queue: QueueState) -> SafeString | str:
        """Places that are taken, of how many there are."""
        its = self._figures(queue)
        most = its.limits.concurrency
        text = f"{its.running:,}" if most is None else gettext("%(number)d of %(most)d") % {"number": its.running, "most": most}
        lines: list[SafeString | str] = [self._link(queue, RunState.RUNNING, text)]
        if its.kept:
            lines.append(gettext("%(number)d places kept by waiting runs") % {"number": its.kept})
        if its.started is not None and its.limits.limiter:
            words = {"number": its.started, "most": its.limits.limiter.limit, "period": its.limits.limiter.period}
            lines.append(gettext("%(number)d of %(most)d started within %(period)g s") % words)
        return _lines(lines)

    @admin.display(description=_("partitions"))
    def partitions(self, queue: QueueState) -> SafeString | str:
        """The first keys that have something, each with what waits and what is executed."""
        connection, its = dialects.connection(), self._figures(queue)
        depths = backlog.partition_depths(connection, queue.pk, PARTITIONS, OF_PARTITION)
        running = backlog.occupied_partitions(connection, queue.pk)
        keys = sorted({*depths, *running}, key=lambda key: (-depths.get(key, EMPTY).waiting.number, -running[key], key))
        longest = max((depth.waiting.number for depth in depths.values()), default=0)
        rows = [
            {
                "key": key, "waiting": number(depths.get(key, EMPTY).waiting), "running": running[key],
                "oldest": age(depths.get(key, EMPTY).oldest, its.now),
                "bar": charts.share(depths.get(key, EMPTY).waiting.number, longest),
            }
            for key in keys[: 2 * PARTITIONS]
        ]  # fmt: skip
        context = {"rows": rows, "most": PARTITIONS, "more": len(depths) >= PARTITIONS}
        return render_to_string("admin/durable_workflows/queuestate/partitions.html", context)

    def has_partitions(self, queue: QueueState) -> bool:
        """Whether to show them."""
        return rules_for(queue).limits.partition_queue

    def _link(self, queue: QueueState, status: RunState, text: str) -> SafeString:
        address = reverse("admin:durable_workflows_workflowrun_changelist", current_app=self.admin_site.name)
        query = urlencode({"queue": queue.name, "status__exact": status.value})
        return format_html('<a href="{}?{}">{}</a>', address, query, text)


def _lines(parts: Sequence[SafeString | str]) -> SafeString:
    return format_html('<ul class="dw-limits">{}</ul>', format_html_join("", "<li>{}</li>", ((part,) for part in parts)))

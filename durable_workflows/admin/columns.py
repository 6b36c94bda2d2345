"""Cells of the list of runs. What a column's head says, a cell says too, for narrow screens, where there are no columns."""

from __future__ import annotations

from typing import Any, cast

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from durable_workflows.admin import display
from durable_workflows.models import WorkflowRun
from durable_workflows.situation import Situation
from durable_workflows.states import RunState


def labelled(label: Any, value: Any) -> SafeString:
    """A value, and what it is, which the style sheet shows on narrow screens."""
    return format_html('<span class="dw-label-narrow">{}</span> <span class="dw-cell">{}</span>', label, value)


def now(run: WorkflowRun) -> SafeString:
    """What a run is doing: a sentence, its worker, and how far it says it is."""
    situation: Situation = cast(Any, run).situation
    kind = "dw-alarm" if situation.alarming else "dw-now"
    parts = [format_html('<span class="{}">{}</span>', kind, situation.text), _worker(run), _bar(run)]
    return format_html_join("", "{}", ((part,) for part in parts if part))


def _worker(run: WorkflowRun) -> SafeString | str:
    if run.status not in (RunState.RUNNING, RunState.CANCELLING) or not run.worker_id:
        return ""
    host = run.worker_id.rpartition("-")[0] or run.worker_id
    return format_html(' <span class="dw-worker" title="{}">{} {}</span>', run.worker_id, _("on"), host)


def _bar(run: WorkflowRun) -> SafeString | str:
    if run.progress_done is None or not run.progress_total or run.completed_at:
        return ""
    done, total = max(0, min(run.progress_done, run.progress_total)), run.progress_total
    return format_html('<progress class="dw-bar" max="{}" value="{}">{}/{}</progress>', total, done, done, total)


def age(run: WorkflowRun) -> SafeString:
    """When a run was created, and how long ago that is."""
    ago = _("%(time)s ago") % {"time": display.about(display.present() - run.created_at)}
    return format_html('{} <span class="dw-ago">{}</span>', display.timestamp(run.created_at) or "", ago)

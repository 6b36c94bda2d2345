"""Runs with their trees as files to download."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, cast

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from durable_workflows import inspecting
from durable_workflows.admin.base import ModelAdmin
from durable_workflows.admin.sight import may_see_payloads
from durable_workflows.exceptions import DurableError
from durable_workflows.models import WorkflowRun
from durable_workflows.models.steering import with_children
from durable_workflows.models.transactions import in_write_transaction

MOST = 1_000  # runs, children among them
ACTION = "export_runs"
DESCRIPTION = _("Export selected %(verbose_name_plural)s")


def may_export(request: HttpRequest) -> bool:
    """Whether the visitor may: who exports sees payloads, and also what pages redact."""
    return bool(request.user.has_perm("durable_workflows.export_workflowrun")) and may_see_payloads(request)


def export(admin: ModelAdmin, request: HttpRequest, runs: QuerySet[WorkflowRun]) -> HttpResponse | None:
    """One run as the document that ``import_workflow`` takes, several as a list of such; None if nothing came of it."""
    ids = [*runs.order_by("pk").values_list("pk", flat=True)[: MOST + 1]]
    try:
        documents = in_write_transaction(_documents, ids, request.user.pk) if ids else []
    except DurableError as error:
        admin.message_user(request, str(error), messages.ERROR)
        return None
    if not documents:
        admin.message_user(request, _why_not(documents), messages.WARNING)
        return None
    return _file(documents[0] if len(ids) == 1 else documents, ids[0][:60] if len(ids) == 1 else "workflow-runs")


def _documents(connection: BaseDatabaseWrapper, ids: Sequence[str], user_id: Any) -> list[Any] | None:
    """The documents, once the log says who has them; None if they are too many."""
    if len(ids) > MOST or len(with_children(connection, set(ids))) > MOST:
        return None
    chosen = WorkflowRun.objects.filter(pk__in=ids).only("pk", "name", "status")
    LogEntry.objects.log_actions(
        user_id=user_id, queryset=cast(Any, [*chosen]), action_flag=CHANGE, change_message="Exported, with its child runs."
    )
    return [inspecting.export_workflow(run_id) for run_id in ids]


def _why_not(documents: list[Any] | None) -> str:
    if documents is not None:
        return gettext("The selected runs are gone.")
    text = gettext("That is more than %(number)d runs with their child runs. Select fewer, or use export_workflow().")
    return text % {"number": MOST}


def _file(content: Any, name: str) -> HttpResponse:
    safe = re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)
    return HttpResponse(
        json.dumps(content, indent=1),
        content_type="application/json",
        headers={
            "Content-Disposition": f'attachment; filename="{safe}.json"',
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        },
    )

"""The whole of a value of which the page shows the beginning, as a text to download."""

from __future__ import annotations

import json
import re
from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpResponse

from durable_workflows.models import Event, Message, StepAttempt, StepRun, StreamEntry, WorkflowRun
from durable_workflows.redaction import REDACTED, is_secret, redacted, secret_positions

# Of each kind of row the columns that may be asked for, and the one that names the value.
ROWS: dict[str, tuple[type[Any], frozenset[str], str]] = {
    "step": (StepRun, frozenset({"output", "error"}), ""),
    "attempt": (StepAttempt, frozenset({"error"}), ""),
    "message": (Message, frozenset({"payload"}), "topic"),
    "event": (Event, frozenset({"value"}), "key"),
    "stream": (StreamEntry, frozenset({"value"}), "key"),
}
OF_THE_RUN = frozenset({"inputs", "output", "error", "attributes"})


def response(run: WorkflowRun, of: str, row: int, column: str) -> HttpResponse:
    """
    A value of a run, redacted.

    :param of: a key of ``ROWS``, or "run"; :param row: the row's key, of a run any number.
    :raises Http404: if there is none.
    """
    text = _of_the_run(run, column) if of == "run" else _of_a_row(run, of, row, column)
    name = re.sub(r"[^\w.-]", "_", f"{run.pk[:60]}-{of}{row or ''}-{column}.txt", flags=re.ASCII)
    return HttpResponse(
        text.encode("utf-8", "backslashreplace"),
        content_type="text/plain; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "X-Content-Type-Options": "nosniff",
        },
    )


def _of_the_run(run: WorkflowRun, column: str) -> str:
    if column not in OF_THE_RUN:
        raise Http404
    value = _there(WorkflowRun.objects.filter(pk=run.pk), column)[0]
    text = json.dumps(value, indent=2, ensure_ascii=False) if column == "attributes" else value
    return redacted(text, secret_positions(run.name) if column == "inputs" else ())


def _of_a_row(run: WorkflowRun, of: str, row: int, column: str) -> str:
    model, columns, named_by = ROWS.get(of, (StepRun, frozenset(), ""))
    if column not in columns:
        raise Http404
    text, key = _there(model.objects.filter(run=run, pk=row), column, named_by or "run_id")
    return REDACTED if named_by and is_secret(key) else redacted(text)


def _there(rows: QuerySet[Any], *columns: str) -> tuple[Any, ...]:
    found: tuple[Any, ...] | None = rows.values_list(*columns).first()
    if found is None or found[0] is None:
        raise Http404
    return found

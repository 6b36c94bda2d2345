"""The library's pages: search the index, rebuild it, read a text, have one read aloud."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Sum
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from durable_workflows import Deduplicated, retrieve_workflow
from durable_workflows.models import WorkflowRun
from example_project import sse
from example_project.library import texts
from example_project.library.line import line
from example_project.library.models import Build, Document
from example_project.library.search import search
from example_project.library.workflows import LINES, index_one, indexing_workflow, reading


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Search; without a question, what there is."""
    query = request.GET.get("q", "").strip()[:200]
    return render(request, "library/index.html", {"query": query, "hits": search(query), **facts()})


@require_POST
def build(request: HttpRequest) -> HttpResponse:
    """Index the whole folder again, in the background."""
    handle = indexing_workflow.start(texts.paths())
    messages.success(request, f"Indexing was started as run {handle.workflow_id}.")
    return redirect("library:index")


@require_POST
def reindex(request: HttpRequest, path: str) -> HttpResponse:
    """Index one text again, unless it is about to be."""
    if path not in texts.paths():
        raise Http404(path)
    try:
        handle = index_one(path)
    except Deduplicated as error:
        messages.warning(request, f"That text is in the line already, as run {error.workflow_id}.")
    else:
        messages.success(request, f"Indexing was started as run {handle.workflow_id}, ahead of the others.")
    return redirect("library:index")


@require_safe
def state(request: HttpRequest) -> HttpResponse:
    """The part of the page that changes."""
    return render(request, "library/_state.html", facts())


def facts() -> dict[str, Any]:
    """What is indexed, out of what there is."""
    documents = Document.objects.all()
    return {
        "documents": documents,
        "words": documents.aggregate(words=Sum("words"))["words"] or 0,
        "bundled": len(texts.paths()),
        "build": Build.objects.first(),
        "line": line(),
    }


@require_safe
def read(request: HttpRequest, path: str) -> HttpResponse:
    """One of the texts."""
    try:
        text = texts.load(path)
    except FileNotFoundError as error:
        raise Http404(str(error)) from error
    return render(request, "library/read.html", {"text": text, "path": path})


@require_POST
def read_aloud(request: HttpRequest, path: str) -> HttpResponse:
    """Have a run read one of the texts to its stream."""
    if path not in texts.paths():
        raise Http404
    return redirect("library:aloud", reading.start(path).workflow_id)


@require_safe
def aloud(request: HttpRequest, run_id: str) -> HttpResponse:
    """A text that is being read, live."""
    path = (retrieve_workflow(reading_run(run_id)).get_status().input or {})["args"][0]
    return render(request, "library/aloud.html", {"run_id": run_id, "title": texts.load(path).title})


@require_safe
def stream(request: HttpRequest, run_id: str) -> StreamingHttpResponse:
    """The lines of a reading as server-sent events."""
    return sse.stream_response(request, reading_run(run_id), LINES)


def reading_run(run_id: str) -> str:
    """The id of a run that reads a text aloud; any other is a 404."""
    if not WorkflowRun.objects.filter(pk=run_id, name=reading.durable.name).exists():
        raise Http404("There is no such reading.")
    return run_id

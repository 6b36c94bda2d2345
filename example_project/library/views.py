"""The library's pages: search the index, rebuild it, read a text."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from durable_workflows import Deduplicated
from example_project.library import texts
from example_project.library.line import line
from example_project.library.models import Build, Document
from example_project.library.search import search
from example_project.library.workflows import index_one, indexing_workflow


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

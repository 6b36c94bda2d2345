"""The approvals' pages: hand an expense in, and answer the mailed link."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from durable_workflows import SetWorkflowID, send
from example_project import runs
from example_project.approvals import links
from example_project.approvals.forms import AnswerForm, ExpenseForm
from example_project.approvals.models import Expense
from example_project.approvals.workflows import TOPIC, approve_expense, message


def index(request: HttpRequest) -> HttpResponse:
    """The form and the latest expenses; a POST hands one in."""
    form = ExpenseForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        expense = hand_in(form)
        messages.success(request, f"{expense.approver_email} is being asked. The workflow waits for the answer.")
        return redirect("approvals:index")
    return render(request, "approvals/index.html", {"form": form, **facts()})


@transaction.atomic
def hand_in(form: ExpenseForm) -> Expense:
    """Write the expense and start its workflow: both, or neither."""
    expense: Expense = form.save()
    with SetWorkflowID(expense.run_id):
        approve_expense.start(expense.pk)
    return expense


@require_safe
def listing(request: HttpRequest) -> HttpResponse:
    """The part of the page that changes."""
    return render(request, "approvals/_list.html", facts())


def facts() -> dict[str, Any]:
    """The newest expenses, each with its run."""
    expenses = list(Expense.objects.all()[:20])
    found = runs.find_many([expense.run_id for expense in expenses])
    return {"expenses": [(expense, found.get(expense.run_id)) for expense in expenses]}


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def answer(request: HttpRequest, token: str) -> HttpResponse:
    """
    What the mailed link opens. Opening it decides nothing: mail programs open links too.

    The answer is a POST, protected by Django's CSRF token as any form.
    """
    try:
        expense = get_object_or_404(Expense, pk=links.read(token))
    except links.BadLink as error:
        return closed(request, str(error), status=404)
    except links.ExpiredLink as error:
        return closed(request, str(error), status=410)
    if expense.answered_at or expense.status != Expense.Status.WAITING:
        return closed(request, "This expense was answered before.", status=410)
    return decide(request, expense)


def decide(request: HttpRequest, expense: Expense) -> HttpResponse:
    """Show the form, or take its answer."""
    form = AnswerForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        return render(request, "approvals/answer.html", {"form": form, "expense": expense})
    if not pass_on(expense, message(form.approved, form.cleaned_data["note"])):
        return closed(request, "This expense was answered before.", status=410)
    return render(request, "approvals/thanks.html", {"approved": form.approved, "expense": expense})


@transaction.atomic
def pass_on(expense: Expense, content: dict[str, Any]) -> bool:
    """Use the link up and tell the workflow, both or neither; False if somebody else was quicker."""
    unanswered = Expense.objects.filter(pk=expense.pk, answered_at=None, status=Expense.Status.WAITING)
    if not unanswered.update(answered_at=timezone.now()):
        return False
    send(expense.run_id, content, topic=TOPIC)
    return True


def closed(request: HttpRequest, reason: str, *, status: int) -> HttpResponse:
    """A link that opens nothing, and why."""
    return render(request, "approvals/closed.html", {"reason": reason}, status=status)

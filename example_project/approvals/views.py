"""The approvals' pages: hand an expense in, and answer the mailed link."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.functional import cached_property
from django.views.decorators.http import require_safe

from durable_workflows import SetWorkflowID
from durable_workflows.web.approvals import ApprovalView
from example_project import runs
from example_project.approvals import links
from example_project.approvals.forms import AnswerForm, ExpenseForm
from example_project.approvals.models import Expense
from example_project.approvals.workflows import approve_expense


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


class Answer(ApprovalView):
    """What the mailed link opens; links that open nothing any more are the product's business."""

    topic = links.TOPIC
    form_class = AnswerForm
    template_name = "approvals/answer.html"
    done_template_name = "approvals/thanks.html"
    closed_template_name = "approvals/closed.html"

    @cached_property
    def expense(self) -> Expense:
        """What is decided about."""
        return get_object_or_404(Expense, pk=self.question.about)

    def answer_of(self, form: BaseForm) -> Any:
        return {"approved": form.cleaned_data["decision"] == "approve", "note": form.cleaned_data["note"]}

    def record(self, form: BaseForm) -> None:
        Expense.objects.filter(pk=self.expense.pk).update(answered_at=timezone.now())

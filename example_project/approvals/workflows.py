"""An approval: mail a link, wait for the answer as long as the link is valid, settle."""

from __future__ import annotations

from django.core.mail import send_mail
from django.utils import timezone

from durable_workflows import recv, step, workflow
from example_project.approvals import links
from example_project.approvals.models import Expense


@workflow
def approve_expense(expense: int) -> str:
    """
    Ask the approver and wait; a day or a deploy in between does not matter.

    :param expense: the row's key.
    :return: the expense's final status.
    """
    address, what = read_expense(expense)
    email_link(address, what, expense)
    # The wait begins after the link was made, so it outlives the link: no answer can come too late for it.
    answer = recv(links.TOPIC, timeout_seconds=links.VALID_SECONDS)
    if answer is None:
        return settle(expense, Expense.Status.EXPIRED.value, "")
    status = Expense.Status.APPROVED if answer["approved"] else Expense.Status.REJECTED
    return settle(expense, status.value, answer["note"])


@step
def read_expense(expense: int) -> tuple[str, str]:
    """Whom to ask, and about what."""
    row = Expense.objects.get(pk=expense)
    return row.approver_email, str(row)


@step(max_attempts=5, interval_seconds=2.0)
def email_link(address: str, what: str, expense: int) -> None:
    """Make the link and hand the mail over. The link holds the time of its making, so it belongs in a step."""
    link = links.url(expense)
    text = f"Please decide about this expense: {what}\n\n{link}\n\nThe link works once, for seven days.\n"
    send_mail("An expense needs your approval", text, from_email=None, recipient_list=[address])


@step
def settle(expense: int, status: str, note: str) -> str:
    """Write the decision down."""
    Expense.objects.filter(pk=expense).update(status=status, note=note, settled_at=timezone.now())
    return status

"""The link that is mailed to the approver; the product signs it, and sees to it that an expense is answered once."""

from __future__ import annotations

from django.conf import settings
from django.urls import reverse

from durable_workflows.web.tokens import make_token

TOPIC = "answer"
VALID_SECONDS = 7 * 86400


def run_id(expense: int) -> str:
    """The id of the workflow that handles an expense."""
    return f"expense-{expense}"


def token(expense: int) -> str:
    """The signed part of a link."""
    return make_token(run_id(expense), TOPIC, about=expense, valid_seconds=VALID_SECONDS)


def url(expense: int) -> str:
    """The whole link, as it stands in the mail."""
    return str(settings.EXAMPLE["SITE_URL"]).rstrip("/") + reverse("approvals:answer", args=[token(expense)])

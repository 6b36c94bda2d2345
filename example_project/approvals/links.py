"""
The link that is mailed to the approver.

It carries the expense's key, signed with the project's ``SECRET_KEY`` and a time, so it can be neither guessed nor
changed, and it expires by itself. That it works only once is the row's business: see ``Expense.answered_at``.
"""

from __future__ import annotations

from django.conf import settings
from django.core import signing
from django.urls import reverse

SALT = "example_project.approvals"
DAY = 86400
VALID_SECONDS = 7 * DAY


class BadLink(Exception):
    """Nobody was sent this link."""


class ExpiredLink(Exception):
    """The link was good once."""


def token(expense: int) -> str:
    """The signed part of a link."""
    return signing.dumps(expense, salt=SALT)


def url(expense: int) -> str:
    """The whole link, as it stands in the mail."""
    return str(settings.EXAMPLE["SITE_URL"]).rstrip("/") + reverse("approvals:answer", args=[token(expense)])


def read(token: str) -> int:
    """
    The key of the expense that a link is about.

    :raises BadLink: if it was not made here, or was changed.
    :raises ExpiredLink: if it is older than ``VALID_SECONDS``.
    """
    try:
        return int(signing.loads(token, salt=SALT, max_age=VALID_SECONDS))
    except signing.SignatureExpired as error:
        raise ExpiredLink("This link is no longer valid.") from error
    except (signing.BadSignature, ValueError, TypeError) as error:
        raise BadLink("This link was not sent by us.") from error

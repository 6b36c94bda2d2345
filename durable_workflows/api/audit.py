"""Who did it: entries in the admin's log, which are written in the transaction of the deed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import models

ADDITION, CHANGE, DELETION = 1, 2, 3  # the admin's own numbers; it need not be installed


def log(user: Any, what: str, rows: models.QuerySet[Any], flag: int = CHANGE) -> None:
    """Note it for each row, if there is a log, and the user is one that it can name."""
    if not apps.is_installed("django.contrib.admin") or not isinstance(user, get_user_model()) or user.pk is None:
        return
    entries: Any = apps.get_model("admin", "LogEntry").objects
    entries.log_actions(user_id=user.pk, queryset=_named(rows), action_flag=flag, change_message=what)


def _named(rows: models.QuerySet[Any]) -> Sequence[Any]:
    """As much of the rows as their names need; payloads stay where they are."""
    return rows.only("pk", *(["name"] if rows.model._meta.pk.name != "name" else []))  # type: ignore[return-value]  # a queryset will do

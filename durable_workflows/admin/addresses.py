"""Where a number on a page leads to: the list of runs, filtered. Only for those who may see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin.utils import quote
from django.http import HttpRequest
from django.urls import reverse

from durable_workflows.admin.base import ModelAdmin


class Addresses:
    """The addresses of an admin site's pages, each "" for a user who may not see it."""

    def __init__(self, admin: ModelAdmin, request: HttpRequest) -> None:
        self._site = admin.admin_site.name
        self._user = request.user
        self._may: dict[str, bool] = {}

    def listed(self, model: str, query: Mapping[str, Any] | None = None) -> str:
        """A list, filtered."""
        if not self._may_view(model):
            return ""
        address = reverse(f"admin:durable_workflows_{model}_changelist", current_app=self._site)
        return f"{address}?{urlencode(query)}" if query else address

    def runs(self, **query: Any) -> str:
        """The list of runs, filtered."""
        return self.listed("workflowrun", query)

    def one(self, model: str, key: str) -> str:
        """The page of a row."""
        if not self._may_view(model):
            return ""
        return reverse(f"admin:durable_workflows_{model}_change", args=[quote(key)], current_app=self._site)

    def _may_view(self, model: str) -> bool:
        if model not in self._may:
            rights = (f"durable_workflows.{verb}_{model}" for verb in ("view", "change"))
            self._may[model] = any(self._user.has_perm(right) for right in rights)
        return self._may[model]

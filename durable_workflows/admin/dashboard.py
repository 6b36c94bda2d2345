"""The dashboard: a page of numbers, and the same without what is around it, for a script that keeps it fresh."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.cache import get_conditional_response, patch_cache_control
from django.utils.http import quote_etag
from django.utils.translation import gettext

from durable_workflows.admin import overview
from durable_workflows.admin.addresses import Addresses
from durable_workflows.admin.base import LIVE, ReadOnlyAdmin
from durable_workflows.admin.throughput import RANGES, Range

TEMPLATES = "admin/durable_workflows/dashboard/"


class DashboardAdmin(ReadOnlyAdmin):
    """One page, at the address at which other models have their list."""

    class Media:
        js = [LIVE]

    def get_urls(self) -> list[URLPattern]:
        """The page, and its part that changes."""
        view = self.admin_site.admin_view
        name = "durable_workflows_dashboard"
        return [
            path("", view(self.changelist_view), name=f"{name}_changelist"),
            path("live/", view(self.live_view), name=f"{name}_live"),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The page. ``?range=`` chooses how far back it looks."""
        chosen = self._chosen(request)
        live = reverse("admin:durable_workflows_dashboard_live", current_app=self.admin_site.name)
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Dashboard"), "opts": self.opts, "media": self.media, "live_url": f"{live}?range={chosen.key}",
            **self._shown(request, chosen), **(extra_context or {}),
        }  # fmt: skip
        request.current_app = self.admin_site.name
        return TemplateResponse(request, f"{TEMPLATES}dashboard.html", context)

    def live_view(self, request: HttpRequest) -> HttpResponse:
        """What changes of the page; 304 if nothing has."""
        shown = self._shown(request, self._chosen(request))
        etag = self._etag(request, shown)
        text = render_to_string(f"{TEMPLATES}fragment.html", shown, request)
        response = get_conditional_response(request, etag=etag) or HttpResponse(text)
        response.headers["ETag"] = etag
        patch_cache_control(response, private=True, no_cache=True)
        return response

    def _etag(self, request: HttpRequest, shown: Mapping[str, Any]) -> str:
        """The stamp of the numbers. What the clock alone changes, such as how old something is, is told anew each minute."""
        text = render_to_string(f"{TEMPLATES}fragment.html", {**shown, **overview.timeless(shown)}, request)
        return quote_etag(sha256(text.encode()).hexdigest()[:32])

    def _chosen(self, request: HttpRequest) -> Range:
        if request.method not in ("GET", "HEAD") or not self.has_view_permission(request):
            raise PermissionDenied
        return RANGES.get(request.GET.get("range", ""), RANGES["hour"])

    def _shown(self, request: HttpRequest, chosen: Range) -> dict[str, Any]:
        return {"ranges": list(RANGES.values()), "chosen": chosen, **overview.of(Addresses(self, request), chosen)}

"""What every page of the example knows."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from example_project.sections import SECTIONS


def site(request: HttpRequest) -> dict[str, Any]:
    """The menu, which entry of it is open, and whether the tools of development are shown."""
    match = request.resolver_match
    return {"sections": SECTIONS, "here": match.app_name if match else "", "development": settings.DEBUG}

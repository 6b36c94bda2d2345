"""No pages but those that the docs add."""

from __future__ import annotations

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []

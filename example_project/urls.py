"""Addresses of the example: one folder for each app."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from example_project import views

urlpatterns = [
    path("", views.home, name="home"),
    path("counts/", views.counts, name="counts"),
    path("outbox/", views.outbox, name="outbox"),
    path("shop/", include("example_project.shop.urls")),
    path("reminders/", include("example_project.reminders.urls")),
    path("reports/", include("example_project.reports.urls")),
    path("library/", include("example_project.library.urls")),
    path("hooks/", include("example_project.hooks.urls")),
    path("approvals/", include("example_project.approvals.urls")),
    path("durable/api/", include("durable_workflows.api.urls")),
    path("admin/", admin.site.urls),
]

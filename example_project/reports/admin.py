"""Reports in the admin."""

# mypy: disable-error-code="type-arg"
# Django's admin classes are generic for type checkers only, not when they run.

from __future__ import annotations

from django.contrib import admin

from example_project.reports.models import HourlyReport


@admin.register(HourlyReport)
class HourlyReportAdmin(admin.ModelAdmin):
    list_display = ["hour", "orders", "revenue", "reminders_sent", "late_seconds"]
    date_hierarchy = "hour"

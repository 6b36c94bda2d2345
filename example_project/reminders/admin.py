"""Reminders in the admin."""

# mypy: disable-error-code="type-arg"
# Django's admin classes are generic for type checkers only, not when they run.

from __future__ import annotations

from django.contrib import admin

from example_project.reminders.models import Reminder


@admin.register(Reminder)
class ReminderAdmin(admin.ModelAdmin):
    list_display = ["email", "text", "due_at", "sent_at"]
    search_fields = ["email", "text"]

"""Expenses in the admin."""

# mypy: disable-error-code="type-arg"
# Django's admin classes are generic for type checkers only, not when they run.

from __future__ import annotations

from django.contrib import admin

from example_project.approvals.models import Expense


@admin.register(Expense)
class ExpenseAdmin(admin.ModelAdmin):
    list_display = ["what", "amount", "employee_email", "status", "created_at"]
    list_filter = ["status"]
    search_fields = ["what", "employee_email"]

"""Expenses and what was decided about them."""

from __future__ import annotations

from django.db import models

from example_project.approvals.links import run_id


class Expense(models.Model):
    """Money that somebody spent and wants back."""

    class Status(models.TextChoices):
        WAITING = "waiting"
        APPROVED = "approved"
        REJECTED = "rejected"
        EXPIRED = "expired"

    what = models.CharField(max_length=120)
    amount = models.DecimalField(max_digits=8, decimal_places=2)
    employee_email = models.EmailField()
    approver_email = models.EmailField()
    status = models.CharField(max_length=10, choices=Status, default=Status.WAITING)
    note = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    answered_at = models.DateTimeField(null=True, blank=True, help_text="When the emailed link was used up.")
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.what}, €{self.amount}"

    @property
    def run_id(self) -> str:
        return run_id(self.pk)

"""What the workflows under test write: rows of a user's own project."""

from __future__ import annotations

from django.db import models


class Ledger(models.Model):
    """One effect of one step; the tests count these by plain SQL."""

    run_id = models.CharField(max_length=255)
    step = models.CharField(max_length=255)
    note = models.TextField(blank=True, default="")
    created = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.run_id} {self.step} {self.note}"


class Account(models.Model):
    """Money that must neither appear nor vanish."""

    name = models.CharField(max_length=100, unique=True)
    balance = models.IntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name}: {self.balance}"


class Order(models.Model):
    """An order on its way through a checkout."""

    number = models.CharField(max_length=100, unique=True)
    status = models.CharField(max_length=30, default="new")
    amount = models.DecimalField(max_digits=10, decimal_places=2, default=0)

    def __str__(self) -> str:
        return f"{self.number} ({self.status})"

"""The rows that the docs' workflows write."""

from __future__ import annotations

from django.db import models


class Order(models.Model):
    """Somebody buys something."""

    customer = models.CharField(max_length=100, default="")
    total_cents = models.IntegerField(default=0)
    status = models.CharField(max_length=30, default="new")
    reference = models.CharField(max_length=100, default="")

    def __str__(self) -> str:
        return f"order {self.pk} ({self.status})"


class Page(models.Model):
    """A document, and how many words it has."""

    name = models.CharField(max_length=200, unique=True)
    text = models.TextField(default="")
    words = models.IntegerField(null=True)

    def __str__(self) -> str:
        return str(self.name)

"""What came in, and what was made of it."""

from __future__ import annotations

from django.db import models


class Delivery(models.Model):
    """One request with a good signature; an event that is delivered three times has three."""

    event_id = models.CharField(max_length=200, db_index=True)
    received_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        verbose_name_plural = "deliveries"

    def __str__(self) -> str:
        return self.event_id


class HandledEvent(models.Model):
    """
    One event, handled.

    ``event_id`` is not unique, on purpose: that each event has one row is the workflow id's doing, and the page would
    show it if one had been handled twice.
    """

    event_id = models.CharField(max_length=200, db_index=True)
    kind = models.CharField(max_length=80)
    parcel = models.CharField(max_length=80, blank=True)
    handled_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.kind} ({self.event_id})"


class Parcel(models.Model):
    """A parcel under way, which a workflow waits for."""

    class Status(models.TextChoices):
        UNDER_WAY = "under way"
        DELIVERED = "delivered"
        LOST = "lost"

    number = models.CharField(max_length=80, db_index=True)
    status = models.CharField(max_length=12, choices=Status, default=Status.UNDER_WAY)
    sent_at = models.DateTimeField(auto_now_add=True)
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.number

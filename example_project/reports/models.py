"""What the hourly job found."""

from __future__ import annotations

from django.db import models

from example_project.shop.models import euros


class HourlyReport(models.Model):
    """
    One hour in numbers.

    ``hour`` is not unique, on purpose: that each hour has one row is the scheduler's doing, and the page would show it
    if a tick had fired twice.
    """

    hour = models.DateTimeField(help_text="The tick: the end of the hour that the report is about.")
    orders = models.PositiveIntegerField()
    revenue_cents = models.IntegerField()
    reminders_sent = models.PositiveIntegerField()
    late_seconds = models.FloatField(help_text="How long after the tick the job was started.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-hour", "-pk"]

    def __str__(self) -> str:
        return f"report of {self.hour:%Y-%m-%d %H:%M}"

    @property
    def revenue(self) -> str:
        return euros(self.revenue_cents)

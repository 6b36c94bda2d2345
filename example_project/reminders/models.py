"""What is to be remembered, by whom, and when."""

from __future__ import annotations

from django.db import models


class Reminder(models.Model):
    """One mail that is to be sent later. Its run's id follows from its key, so no column keeps it."""

    email = models.EmailField()
    text = models.CharField(max_length=200)
    due_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.text!r} to {self.email}"

    @property
    def run_id(self) -> str:
        return f"reminder-{self.pk}"

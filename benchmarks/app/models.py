"""A row for steps that write one."""

from __future__ import annotations

from django.db import models


class Note(models.Model):
    text = models.CharField(max_length=200)

    class Meta:
        app_label = "app"

    def __str__(self) -> str:
        return self.text

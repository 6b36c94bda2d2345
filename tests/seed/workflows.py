"""All programs, for the workers to find."""

from __future__ import annotations

from tests.seed import background, cron, pipelines, reliable, webhooks

__all__ = ["background", "cron", "pipelines", "reliable", "webhooks"]

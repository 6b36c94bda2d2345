"""The signals as log lines of the logger ``durable_workflows``; nothing else in the product logs."""

from __future__ import annotations


def connect() -> None:
    """Start writing log lines; calling it again changes nothing."""

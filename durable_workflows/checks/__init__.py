"""System checks: the mistakes users make, each with its cure in the hint."""

from __future__ import annotations


def register() -> None:
    """Register every check with Django; called once the apps are ready."""

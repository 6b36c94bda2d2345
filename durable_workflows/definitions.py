"""
Definitions: frozen values made at import time, complete without Django's apps.

The decorators return plain functions, so that methods bind, and agent frameworks read names, signatures and
annotations as ever; the definition rides along as ``function.durable``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from durable_workflows.exceptions import InvalidUse
from durable_workflows.retries import RetryPolicy
from durable_workflows.schedules import CronSchedule

NAME_MAX_LENGTH = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What a name stands for: a function, and where it was declared."""

    name: str
    func: Callable[..., Any]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip() or len(self.name) > NAME_MAX_LENGTH:
            raise InvalidUse(f"A name is 1 to {NAME_MAX_LENGTH} characters, not {self.name!r}.")
        if inspect.iscoroutinefunction(self.func) or inspect.isasyncgenfunction(self.func):
            raise InvalidUse(f"{self.name} is an `async def`, which this version cannot run durably. Make it a plain `def`.")
        if inspect.isgeneratorfunction(self.func):
            raise InvalidUse(f"{self.name} is a generator, whose values cannot be recorded as one result. Return a list.")

    @property
    def origin(self) -> str:
        """Where the function stands, as a reader would look it up."""
        return f"{self.func.__module__}.{self.func.__qualname__}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Definition):
    """A function whose result is recorded once; see ``decorators.step`` for the parameters."""

    atomic: bool = True
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeout: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow(Definition):
    """A function whose run survives its process; see ``decorators.workflow`` for the parameters."""

    queue: str = "default"
    timeout: float | None = None
    version: str | None = None
    max_recovery_attempts: int | None = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """A workflow to be started at each tick of a cron schedule."""

    name: str
    workflow: Workflow
    cron: CronSchedule
    catch_up: Literal["skip", "last", "all"] = "skip"
    overlap: Literal["allow", "skip"] = "allow"
    queue: str | None = None

    def __post_init__(self) -> None:
        if len(self.name) > NAME_MAX_LENGTH:
            raise InvalidUse(f"A schedule's name has at most {NAME_MAX_LENGTH} characters, not {self.name!r}.")

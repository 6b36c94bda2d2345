"""
The one lazy door to the side that needs models.

Django imports this package before any model may load, so nothing that ``import durable_workflows`` reaches may import
a model. ``engine()`` does it at the first use, as ``django.core.cache.caches`` does with its backends.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from django.utils.module_loading import import_string

from durable_workflows import context

if TYPE_CHECKING:
    from durable_workflows.context import Caller
    from durable_workflows.models import WorkflowRun


class Engine(Protocol):
    """What the door opens to: the caller outside of any workflow, and what handles read."""

    outside: Caller

    def row(self, workflow_id: str) -> WorkflowRun: ...

    def prune(self, policy: Any, limit: int | None, dry_run: bool) -> int: ...


class Local(Protocol):
    """The services of this process for direct calls and for waiting clients."""

    def services(self) -> Any:
        """
        An ``engine.services.Services`` for one direct call, whose worker row is beating.

        ``worker_id`` is that row's, ``session`` describes this thread's database session; None where nobody else sees either.
        """

    def park(self, keys: Sequence[str], seconds: float) -> None:
        """Block until something happens to one of these runs here, or the time is over."""

    def ring(self, run_id: str) -> None:
        """Tell the waiters of this process that something happened to a run."""


ENGINE = "durable_workflows.engine.ENGINE"
LOCAL = "durable_workflows.worker.local.LOCAL"


@cache
def engine() -> Engine:
    """The engine of this process, loaded at the first use."""
    made: Engine = import_string(ENGINE)
    return made


@cache
def local() -> Local:
    """What this process lends to direct calls: the heartbeat, waiting for hints, the group writer."""
    made: Local = import_string(LOCAL)
    return made


def here() -> Caller:
    """Whoever is calling: the running step, the running workflow, or the world outside."""
    return context.caller() or engine().outside

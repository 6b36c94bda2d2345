"""Where a run comes from, and what came of it, as a small tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from durable_workflows.admin.history import Section, relative
from durable_workflows.admin.sight import Row
from durable_workflows.models import WorkflowRun

LEVELS = 4  # of ancestors
SHOWN = 10  # children and forks

COLUMNS = ("id", "name", "status", "created_at", "started_at", "completed_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """
    The relatives of a run, each as a line of a table.

    :param ancestors: the run that started it, and those that started that one, the oldest first.
    :param more_ancestors: whether the oldest was started by another one.
    """

    ancestors: Sequence[Row]
    more_ancestors: bool
    origin: Row | None
    children: Sequence[Row]
    more_children: int
    forks: Sequence[Row]
    more_forks: int

    @property
    def is_alone(self) -> bool:
        """Whether it has no relatives."""
        return not (self.ancestors or self.origin or self.children or self.forks)


def lineage(run: WorkflowRun, children: Section, forks: Section) -> Lineage:
    """The relatives of a run, of which the ``children`` and the ``forks`` were read already."""
    ancestors = _ancestors(run)
    origin = WorkflowRun.objects.filter(pk=run.forked_from_id).values(*COLUMNS).first() if run.forked_from_id else None
    return Lineage(
        ancestors=ancestors, more_ancestors=bool(ancestors and ancestors[0]["parent_id"]),
        origin=relative(dict(origin)) if origin else None,
        children=children.rows[:SHOWN], more_children=max(0, children.total - SHOWN),
        forks=forks.rows[:SHOWN], more_forks=max(0, forks.total - SHOWN),
    )  # fmt: skip


def _ancestors(run: WorkflowRun) -> list[Row]:
    """All in one query: each is the parent of the one before."""
    if not run.parent_id:
        return []
    prefixes = ["parent__" * level for level in range(LEVELS)]
    wanted = [f"{prefix}{column}" for prefix in prefixes for column in (*COLUMNS, "parent_id")]
    found: dict[str, Any] = WorkflowRun.objects.filter(pk=run.parent_id).values(*wanted).first() or {}
    rows = [{column: found.get(f"{prefix}{column}") for column in (*COLUMNS, "parent_id")} for prefix in prefixes]
    return [relative(row) for row in reversed(rows) if row["status"] is not None]

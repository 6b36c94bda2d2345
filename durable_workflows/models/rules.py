"""What holds for a queue: its declared limits with an operator's overrides, read live."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Count, F, QuerySet, Sum, Value

from durable_workflows import signals
from durable_workflows.exceptions import InvalidUse
from durable_workflows.limits import NO_LIMITS, Limits, limits_of
from durable_workflows.models.dialects import DatabaseNow
from durable_workflows.models.queues import QueueState


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """
    What holds for a queue at a time.

    :param revision: of the row that says so.
    :param problem: why its row says nothing that can be kept; its runs wait then, as if it were paused.
    """

    limits: Limits = NO_LIMITS
    paused: bool = False
    revision: int = 0
    problem: str = ""


FREE = Rules()


def rules_of(paused: object, declared: object, overrides: object, revision: Any) -> Rules:
    """What a queue's row says."""
    try:
        limits = limits_of({**_dict(declared), **_dict(overrides)})
        return Rules(limits=limits, paused=bool(paused), revision=revision)
    except InvalidUse as error:
        return Rules(paused=True, revision=revision, problem=str(error))


def rules_for(queue: QueueState) -> Rules:
    """What a queue's row says, when it is there already."""
    return rules_of(queue.paused, queue.declared, queue.overrides, queue.revision)


def _dict(stored: object) -> Mapping[str, Any]:
    if stored is None or isinstance(stored, Mapping):
        return stored or {}
    raise InvalidUse(f"Limits are a dict, not {stored!r:.80}.")


def read_rules(connection: BaseDatabaseWrapper) -> dict[str, Rules]:
    """What holds for each queue that has a row."""
    rows = QueueState.objects.using(connection.alias).values_list("name", "paused", "declared", "overrides", "revision")
    return {name: rules_of(*row) for name, *row in rows}


def stamp(alias: str) -> QuerySet[QueueState, Any]:
    """One value that is another one after each change of a queue; for the pulse."""
    rows = QueueState.objects.using(alias).annotate(one=Value(1)).values("one")
    return rows.annotate(stamp=Sum("revision") * 1000 + Count("name")).values("stamp")


def declare(connection: BaseDatabaseWrapper, queues: Mapping[str, Limits | None]) -> None:
    """
    Write what code declares to the rows of its queues; None only sees to it that there is a row.

    What an operator set stays.
    """
    rows = QueueState.objects.using(connection.alias)
    known = dict(rows.filter(pk__in=queues).values_list("pk", "declared"))
    wanted = {name: limits.as_json() if limits is not None else None for name, limits in sorted(queues.items())}
    now = DatabaseNow()
    new = [QueueState(pk=name, declared=limits, created_at=now, updated_at=now)
           for name, limits in wanted.items() if name not in known]  # fmt: skip
    rows.bulk_create(new, ignore_conflicts=True)
    for name, limits in wanted.items():
        if limits is not None and name in known and known[name] != limits:
            change(connection, [name], declared=limits)


def change(connection: BaseDatabaseWrapper, names: Iterable[str], **columns: Any) -> int:
    """Change queues, and have the workers look: at once where there are hints, else at their next pulse."""
    rows = QueueState.objects.using(connection.alias).filter(pk__in=[*names])
    changed = rows.update(**columns, revision=F("revision") + 1, updated_at=DatabaseNow())
    if changed:
        signals.at_commit(signals.claimable, connection.alias)
    return changed

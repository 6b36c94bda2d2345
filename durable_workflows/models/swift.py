"""
The commonest shared limit, a ``concurrency`` and nothing else, claimed under in one round trip, on PostgreSQL.

It does what ``models.slots`` does, by two statements that are sent together: the first locks the queue's row, or fails if
another worker has it; the second counts, in a snapshot of its own, and claims. It knows the rules that this worker has read,
so it makes sure that they are still those of the row, and that the level of isolation gives it that snapshot. When it takes
nothing, the longer way finds out why.

Where runs go strictly one after another, nothing overlaps, and each commit is time in which nothing runs. There the end of
one is sent along, as the first of three statements: what counts the leases sees it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows.conf import config
from durable_workflows.models import claims, outcomes, places, prepared
from durable_workflows.models.claims import Claim, Claimer, Pick
from durable_workflows.models.outcomes import Ending
from durable_workflows.models.queues import QueueState
from durable_workflows.models.rules import Rules
from durable_workflows.models.transactions import is_lock_error

QUEUES = QueueState._meta.db_table


def fits(connection: BaseDatabaseWrapper, rules: Rules) -> bool:
    """Whether these rules can be kept in this way."""
    limits, plain = rules.limits, connection.vendor == "postgresql" and config().prepared_statements
    alone = not (limits.partition_queue or limits.holds or limits.limiter)
    return plain and alone and limits.concurrency is not None and not rules.paused


def take(connection: BaseDatabaseWrapper, claimer: Claimer, pick: Pick, rules: Rules, token: str) -> list[Claim]:
    """What can be taken in one round trip; it may be nothing although there is something."""
    sql, params = claims.statement(connection, claimer, replace(pick, most=_most(connection, pick, rules)), token)
    try:
        answers = prepared.send_together(connection, [(_LOCK, [pick.queue]), (sql, params)])
    except OperationalError as error:
        if is_lock_error(error):
            return []
        raise
    return claims.read(connection, answers[-1].fetchall(), claimer, token) if answers else []


_LOCK = f"SELECT 1 FROM {QUEUES} WHERE name = %s FOR UPDATE NOWAIT"


def is_serial(connection: BaseDatabaseWrapper, rules: Rules) -> bool:
    """Whether a queue's runs go one after another, by rules that can be kept in this way."""
    return rules.limits.concurrency == 1 and fits(connection, rules)


def succeed(
    connection: BaseDatabaseWrapper, ending: Ending, claimer: Claimer, pick: Pick, rules: Rules, token: str
) -> tuple[bool, list[Claim]]:
    """
    End a run and take what comes after it in its queue, with one commit.

    :returns: whether it has ended, and what was taken. If it has not, nothing has happened: it is awaited or no longer this
        attempt's, or another session has the queue's row.
    """
    most, most_params = _most(connection, pick, rules)
    one = (f"CASE WHEN {_ENDED} THEN {most} ELSE 0 END", [ending.run_id, ending.token, *most_params])
    sql, params = claims.statement(connection, claimer, replace(pick, most=one), token)
    end = outcomes.statement(connection, ending, outcomes.UNAWAITED)
    try:
        answers = prepared.send_together(connection, [end, (_LOCK, [pick.queue]), (sql, params)])
    except OperationalError as error:
        if is_lock_error(error):
            return False, []
        raise
    if not answers:
        return False, []
    ended, _, taken = answers
    return ended.rowcount == 1, claims.read(connection, taken.fetchall(), claimer, token)


_ENDED = f"EXISTS (SELECT 1 FROM {claims.RUNS} WHERE id = %s AND lease_token = %s AND status IN ('SUCCESS', 'ERROR'))"


def _most(connection: BaseDatabaseWrapper, pick: Pick, rules: Rules) -> tuple[str, list[Any]]:
    # Without a row of those rules it is nothing: LIMIT NULL would be no limit at all.
    sql = (
        f"COALESCE((SELECT LEAST(%s, GREATEST(0, %s - ({places.count(connection)}))) FROM {QUEUES} q"
        " WHERE q.name = %s AND q.revision = %s AND NOT q.paused"
        " AND current_setting('transaction_isolation') = 'read committed'), 0)"
    )
    return sql, [pick.limit, rules.limits.concurrency, *[pick.queue] * 3, rules.revision]

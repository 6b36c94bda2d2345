"""
Claiming from a queue whose limits hold across workers.

A limit that is counted and then claimed under by two workers at once is exceeded. So whoever claims from such a queue locks
its row first, and counts in a *new* statement, which sees what all earlier holders of the lock have committed. A worker
that finds the row locked does not wait: the other one is taking what there is, and might have been stopped amid it. The
row is read under its lock, so a limit that was changed a moment ago holds already.

What is counted are leases, from the rows themselves: no counter has to be kept right through kills, recoveries and
cancellations. There are never more leased rows than threads in the fleet, and an index holds no others. Beside them count
the runs that keep their place while they wait (``waiting="hold"``). Ends only make room, so they need no lock. Starts of a
rate-limited queue are rows of their own, written with the claim.

Four kinds of runs go past the limits: what a caller executes itself (a direct call counts, but does not ask), what was
resumed (``Turn.AHEAD``: an operator wants it now, paused queue or not; it has an index of its own), what was paused amid a
call and is let go on before that is over (another run may have its place by then), and, for as long as a worker has not
read them, what it claims under old rules from a queue that had no shared limit before: at most a pulse long.

Partitions are visited in turn, from where this worker stopped the last time, so that the backlog of one holds up no other.
The next key is one look into the index, however many there are and however long the one before is.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows.models import claims, dialects, places, swift
from durable_workflows.models.claims import Claimer, Pick
from durable_workflows.models.queues import QueueState
from durable_workflows.models.rules import Rules, rules_of
from durable_workflows.models.taking import AHEAD, CONTENDED, PAUSED, Taken, Taking, Want
from durable_workflows.models.transactions import write_transaction

QUEUES = QueueState._meta.db_table


def take(connection: BaseDatabaseWrapper, claimer: Claimer, want: Want, rules: Rules, token: str) -> Taken:
    """
    Take runs of a queue as far as its limits allow.

    :param rules: what held for it when it was last looked at: whether workers must agree.
    """
    if not claimer.names or want.limit < 1:
        return Taken(after=want.after)
    if not rules.limits.shared:
        return _take_freely(connection, claimer, want, rules, token)
    if swift.fits(connection, rules) and not want.suspects:
        pick = Pick(queue=want.queue, limit=want.limit, keeps=False)
        if found := swift.take(connection, claimer, pick, rules, token):
            return Taken(claims=found, after=want.after)
    with write_transaction(connection):
        locked = _locked(connection, want.queue)
        if locked is None:
            return Taken(retry_in=CONTENDED, after=want.after)
        return Taking(connection, claimer, want, token, locked).result()


def has_place(connection: BaseDatabaseWrapper, claimer: Claimer, want: Want, rules: Rules) -> bool:
    """Whether a run that is to be run alone would be taken; not for certain, since no lock is held."""
    if not rules.limits.shared:
        return not rules.paused
    return Taking(connection, claimer, replace(want, suspects=True), "", rules).has_place()


def _take_freely(connection: BaseDatabaseWrapper, claimer: Claimer, want: Want, rules: Rules, token: str) -> Taken:
    """One statement, of a queue about which workers need not agree; one that may have failed is not followed by another."""
    pick = Pick(queue=want.queue, limit=want.limit)
    if rules.paused:
        ahead = replace(pick, partition=None, turns=AHEAD, suspects=want.suspects)
        return Taken(claims=claims.claim(connection, claimer, ahead, token), retry_in=PAUSED)
    if want.suspects:
        pick = replace(pick, partition=None, suspects=True)
    if (found := claims.claim(connection, claimer, pick, token)) or want.suspects:
        return Taken(claims=found, after=want.after)
    return _take_strays(connection, claimer, want, token)


def _take_strays(connection: BaseDatabaseWrapper, claimer: Claimer, want: Want, token: str) -> Taken:
    """Runs with keys in a queue that has no partitions: it had some, or whoever enqueued them says so."""
    heads = places.heads(connection, want.queue, want.after or "", 1) or places.heads(connection, want.queue, "", 1)
    if not heads:
        return Taken()
    partition = heads[0][0]
    pick = Pick(queue=want.queue, limit=want.limit, partition=partition)
    return Taken(claims=claims.claim(connection, claimer, pick, token), after=partition)


def _locked(connection: BaseDatabaseWrapper, queue: str) -> Rules | None:
    """The rules of a queue, whose row stays locked until the transaction ends; None if another session has it."""
    level = "current_setting('transaction_isolation')" if connection.vendor == "postgresql" else "''"
    sql = (
        f"SELECT paused, declared, overrides, revision, {level} FROM {QUEUES} WHERE name = %s{dialects.skip_locked(connection)}"
    )
    row = dialects.run(connection, sql, [queue]).fetchone()
    if row is None:
        return None
    paused, declared, overrides, revision, isolation = row
    if isolation not in ("", "read committed"):
        # A lock alone lets a snapshot be counted in that is older than it; a change of the row is refused then (40001).
        dialects.run(connection, f"UPDATE {QUEUES} SET revision = revision WHERE name = %s", [queue])
    return rules_of(paused, _parsed(declared), _parsed(overrides), revision)


def _parsed(stored: Any) -> Any:
    return json.loads(stored) if isinstance(stored, (str, bytes)) else stored

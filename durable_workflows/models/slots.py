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

Three kinds of runs go past the limits: what a caller executes itself (a direct call counts, but does not ask), what was
resumed (``Turn.AHEAD``: an operator wants it now, paused queue or not), and, for as long as a worker has not read them, what
it claims under old rules from a queue that had no shared limit before: at most a pulse long.

Partitions are visited in turn, from where this worker stopped the last time, so that the backlog of one holds up no other.
The next key is one look into the index, however many there are and however long the one before is.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows.models import claims, dialects, rates
from durable_workflows.models.claims import ORDER, RUNS, Claim, Claimer, Pick
from durable_workflows.models.indexes import flag
from durable_workflows.models.queues import QueueState
from durable_workflows.models.rules import FREE, Rules, read_rules, rules_of
from durable_workflows.models.runs import Turn, WorkflowRun
from durable_workflows.models.transactions import write_transaction
from durable_workflows.states import RunState

QUEUES = QueueState._meta.db_table
CONTENDED = 0.02  # seconds after which a queue is looked at again that another worker was claiming from
SATURATED = 0.2  # and one whose places are all taken, if nobody tells sooner that one is free
SHORTEST_WALK, LONGEST_WALK = 8, 128  # partitions looked up at once
FARTHEST_WALK = 256  # and during one claim, which is under the lock; the next one goes on from there


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """
    What a worker asks of a queue.

    :param limit: how many runs it has threads for, and its own limit allows.
    :param mine: how many it is executing of each partition.
    :param after: the partition that had its turn last.
    """

    queue: str
    limit: int
    mine: Mapping[str, int] = field(default_factory=dict)
    after: str | None = None
    suspects: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """
    What it got.

    :param retry_in: seconds after which to look again, when a limit alone stands in the way; None: nothing is known of more.
    :param after: the partition that had its turn last.
    """

    claims: list[Claim] = field(default_factory=list)
    retry_in: float | None = None
    after: str | None = None


def take(connection: BaseDatabaseWrapper, claimer: Claimer, want: Want, rules: Rules, token: str) -> Taken:
    """
    Take runs of a queue as far as its limits allow.

    :param rules: what held for it when it was last looked at: whether workers must agree.
    """
    if not claimer.names or want.limit < 1:
        return Taken(after=want.after)
    if not rules.limits.shared:
        return _take_freely(connection, claimer, want, rules, token)
    with write_transaction(connection):
        locked = _locked(connection, want.queue)
        if locked is None:
            return Taken(retry_in=CONTENDED, after=want.after)
        return _Taking(connection, claimer, want, token, locked).result()


def _take_freely(connection: BaseDatabaseWrapper, claimer: Claimer, want: Want, rules: Rules, token: str) -> Taken:
    """One statement, of a queue about which workers need not agree; one that may have failed is not followed by another."""
    pick = Pick(queue=want.queue, limit=want.limit)
    if rules.paused:
        pick = replace(pick, limit=0 if want.suspects else want.limit, turns="turn < 0")
    elif want.suspects:
        pick = replace(pick, partition=None, suspects=True)
    if (found := claims.claim(connection, claimer, pick, token)) or rules.paused or want.suspects:
        return Taken(claims=found, after=want.after)
    return _take_strays(connection, claimer, want, token)


def _take_strays(connection: BaseDatabaseWrapper, claimer: Claimer, want: Want, token: str) -> Taken:
    """Runs with keys in a queue that has no partitions: it had some, or whoever enqueued them says so."""
    heads = _heads(connection, want.queue, want.after or "", 1) or _heads(connection, want.queue, "", 1)
    if not heads:
        return Taken()
    partition = heads[0][0]
    pick = Pick(queue=want.queue, limit=want.limit, partition=partition)
    return Taken(claims=claims.claim(connection, claimer, pick, token), after=partition)


def _locked(connection: BaseDatabaseWrapper, queue: str) -> Rules | None:
    """The rules of a queue, whose row stays locked until the transaction ends; None if another session has it."""
    level = "current_setting('transaction_isolation')" if connection.vendor == "postgresql" else "''"
    sql = f"SELECT paused, declared, overrides, {level} FROM {QUEUES} WHERE name = %s{dialects.skip_locked(connection)}"
    row = dialects.run(connection, sql, [queue]).fetchone()
    if row is None:
        return None
    paused, declared, overrides, isolation = row
    if isolation not in ("", "read committed"):
        # A lock alone lets a snapshot be counted in that is older than it; a change of the row is refused then (40001).
        dialects.run(connection, f"UPDATE {QUEUES} SET revision = revision WHERE name = %s", [queue])
    return rules_of(paused, _parsed(declared), _parsed(overrides))


def _parsed(stored: Any) -> Any:
    return json.loads(stored) if isinstance(stored, (str, bytes)) else stored


class _Taking:
    """One claim under the lock."""

    def __init__(self, connection: BaseDatabaseWrapper, claimer: Claimer, want: Want, token: str, rules: Rules) -> None:
        self.connection, self.claimer, self.want, self.token, self.rules = connection, claimer, want, token, rules
        self.limits = rules.limits
        self.claims: list[Claim] = []
        self.retry_in: float | None = None
        self.after = want.after
        self.mine = Counter[str](want.mine)
        self.occupied, self.kept = _occupied(connection, want.queue) if self._counts_leases else (Counter(), Counter())
        self.window = rates.Window(connection, want.queue, self.limits)

    @property
    def _counts_leases(self) -> bool:
        return self.limits.concurrency is not None or self.limits.partition_concurrency is not None

    @property
    def room(self) -> int:
        return self.want.limit - len(self.claims)

    def result(self) -> Taken:
        if self.rules.paused:
            self._take_ahead()
        elif self.want.suspects:
            self._take_kept()
            for partition in _suspects(self.connection, self.want.queue):
                self._take(partition, self.room)
        else:
            self._take_all()
        self.window.note_starts()
        return Taken(claims=self.claims, retry_in=self.retry_in, after=self.after)

    def _take_ahead(self) -> None:
        """A paused queue gives what was resumed, and nothing else."""
        partitions = (head for chunk in self._partitions() for head in chunk) if self.limits.partition_queue else [("", -1)]
        for partition, turn in partitions:
            if turn < 0 and not self.want.suspects:
                self._pick(partition=partition, limit=self.room, turns="turn < 0")
            self.after = partition

    def _take_all(self) -> None:
        self._take_kept()
        if not self.limits.partition_queue and self._take("", self.room):
            return
        for chunk in self._partitions():
            if not self._take_from(chunk):
                return

    def _take_kept(self) -> None:
        """What has kept its place needs none any more, in a queue that keeps none any more too."""
        most = self.limits.partition_worker_concurrency
        in_turn = sorted(self.kept, key=lambda partition: (partition <= (self.after or ""), partition))
        for partition in in_turn if most is not None else [None] if self.kept else []:
            limit = self.room if partition is None else self._left(most, self.mine[partition])
            self._pick(partition=partition, limit=limit, reserved=True)

    def _take_from(self, chunk: Sequence[tuple[str, int]]) -> bool:
        """Take of some partitions, each its share of the room that is left; false once there is none."""
        for number, (partition, turn) in enumerate(chunk):
            if self.room < 1:
                return False
            share = -(-self.room // (len(chunk) - number))
            if not self._take(partition, share, turn) and turn < 0:
                self._pick(partition=partition, limit=share, turns="turn < 0")
            self.after = partition
        return self.room > 0

    def _take(self, partition: str, share: int, turn: int = Turn.AHEAD) -> int:
        """Take of one partition what the limits leave of its share; ``turn`` is its first run's, or an earlier one."""
        before = len(self.claims)
        left = min(share, self._places_left(partition))
        starts = self.window.left(partition)
        if left < 1:
            if not (self.limits.partition_queue or self.want.suspects):
                self._pick(partition=partition, limit=share, turns="turn < 0")
        elif starts is None:
            self._pick(partition=partition, limit=left)
        else:
            left -= self._pick(partition=partition, limit=left, turns="turn <= 0") if turn < Turn.NEW else 0
            new = self._pick(partition=partition, limit=min(left, starts), turns="turn > 0")
            self.window.starting(partition, new)
            if starts <= new and left > new:
                self._retry(self.window.seconds_until_more(partition))
        return len(self.claims) - before

    def _places_left(self, partition: str) -> int:
        """How many places of the queue and of the partition are free."""
        limits = self.limits
        left = min(
            self._left(limits.concurrency, self.occupied.total()),
            self._left(limits.partition_concurrency, self.occupied[partition]),
        )
        if left < 1:
            self._retry(SATURATED)
        return min(left, self._left(limits.partition_worker_concurrency, self.mine[partition]))

    def _left(self, limit: int | None, taken: int) -> int:
        return self.want.limit if limit is None else max(0, limit - taken)

    def _retry(self, seconds: float | None) -> None:
        if seconds is not None:
            self.retry_in = seconds if self.retry_in is None else min(self.retry_in, seconds)

    def _pick(self, *, partition: str | None, limit: int, turns: str = "", reserved: bool = False) -> int:
        pick = Pick(
            queue=self.want.queue, limit=min(limit, self.room), partition=partition, turns=turns,
            reserved=reserved if self._counts_leases else None, keeps=self.limits.holds, suspects=self.want.suspects,
        )  # fmt: skip
        found = claims.claim(self.connection, self.claimer, pick, self.token)
        self.claims += found
        taken = Counter(claim.partition for claim in found)
        self.mine += taken
        if not reserved:  # those that were are counted as it is
            self.occupied += taken
        return len(found)

    def _partitions(self) -> Iterator[list[tuple[str, int]]]:
        """
        The partitions with something to claim, in turn, each with the turn of its first run; a few at a time.

        A queue without partitions may have runs with keys all the same: it had partitions, or whoever enqueued them says so.
        """
        looked_at = 0
        for chunk in self._all_partitions():
            yield chunk
            looked_at += len(chunk)
            if looked_at >= FARTHEST_WALK:
                self._retry(SATURATED)
                return

    def _all_partitions(self) -> Iterator[list[tuple[str, int]]]:
        before_all = None if self.limits.partition_queue else ""
        after = before_all if self.want.after is None else self.want.after
        yield from self._walk(after, None)
        if after != before_all:
            yield from self._walk(before_all, after)

    def _walk(self, after: str | None, until: str | None) -> Iterator[list[tuple[str, int]]]:
        number = max(self.room, SHORTEST_WALK)
        while heads := _heads(self.connection, self.want.queue, after, number):
            if near := [head for head in heads if until is None or head[0] <= until]:
                yield near
            if len(near) < len(heads):
                return
            after, number = heads[-1][0], min(2 * number, LONGEST_WALK)


def _occupied(connection: BaseDatabaseWrapper, queue: str) -> tuple[Counter[str], Counter[str]]:
    """
    How many runs hold a place of the queue, by partition: leased ones, and those that keep theirs while they wait.

    :returns: their numbers, and how many of the latter are enqueued.
    """
    sql = (
        f"SELECT partition_key, COUNT(*), 0 FROM {RUNS} WHERE status IN ('CANCELLING', 'RUNNING') AND queue = %s GROUP BY 1"
        f" UNION ALL SELECT partition_key, COUNT(*), SUM(CASE WHEN status = 'ENQUEUED' THEN 1 ELSE 0 END) FROM {RUNS}"
        f" WHERE {claims.reserved(connection)} AND queue = %s GROUP BY 1"
    )
    occupied, kept = Counter[str](), Counter[str]()
    for partition, number, enqueued in dialects.run(connection, sql, [queue, queue]).fetchall():
        occupied[partition] += int(number)
        kept[partition] += int(enqueued)
    return occupied, +kept


def _heads(connection: BaseDatabaseWrapper, queue: str, after: str | None, most: int) -> list[tuple[str, int]]:
    """The next partitions in order of their keys, each with the turn of its first run: one look into the index for each."""
    of_queue = f"status = 'ENQUEUED' AND stranded = '' AND suspect = {flag(connection, False)} AND queue = %s"
    order = f"ORDER BY partition_key, {ORDER} LIMIT 1"
    beyond, params = ("", [queue]) if after is None else (" AND partition_key > %s", [queue, after])
    sql = (
        f"WITH RECURSIVE heads (name, number) AS ("
        f"SELECT (SELECT partition_key FROM {RUNS} WHERE {of_queue}{beyond} {order}), 1"
        f" UNION ALL SELECT (SELECT partition_key FROM {RUNS} WHERE {of_queue} AND partition_key > heads.name {order}),"
        f" number + 1 FROM heads WHERE name IS NOT NULL AND number < %s)"
        f" SELECT name, (SELECT turn FROM {RUNS} WHERE {of_queue} AND partition_key = heads.name {order})"
        " FROM heads WHERE name IS NOT NULL ORDER BY number"
    )
    rows = dialects.run(connection, sql, [*params, queue, most, queue]).fetchall()
    # A run may have been claimed between the two looks, by a worker that reads older rules.
    return [(name, 1 if turn is None else int(turn)) for name, turn in rows]


def _suspects(connection: BaseDatabaseWrapper, queue: str) -> list[str]:
    """The partitions in which there are runs that are to be run alone; never many."""
    sql = (
        f"SELECT DISTINCT partition_key FROM {RUNS} WHERE status = 'ENQUEUED' AND stranded = ''"
        f" AND suspect = {flag(connection, True)} AND queue = %s"
    )
    return [row[0] for row in dialects.run(connection, sql, [queue]).fetchall()]


def waits_for_its_own_place(connection: BaseDatabaseWrapper, claim: Claim, awaited: Sequence[str]) -> str | None:
    """
    Which of the awaited runs cannot start before this one gives its place back, which it keeps while it waits.

    :returns: its id; None if all can go on.
    """
    runs = WorkflowRun.objects.using(connection.alias)
    stuck = runs.filter(pk__in=awaited, queue=claim.queue, turn=Turn.NEW, status__in=[RunState.ENQUEUED, RunState.DELAYED])
    found = dict(stuck.values_list("pk", "partition_key"))
    if len(found) < len(awaited):
        return None
    limits = read_rules(connection).get(claim.queue, FREE).limits
    occupied, _ = _occupied(connection, claim.queue)
    full = limits.concurrency is not None and occupied.total() >= limits.concurrency
    for run_id, partition in found.items():
        most = limits.partition_concurrency
        if full or (most is not None and partition == claim.partition and occupied[partition] >= most):
            return run_id
    return None

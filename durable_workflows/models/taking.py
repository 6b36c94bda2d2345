"""One claim under a queue's lock: what its rules leave of what a worker wants; ``models.slots`` says why it is right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows.models import claims, places, rates
from durable_workflows.models.claims import Claim, Claimer, Pick
from durable_workflows.models.rules import Rules
from durable_workflows.models.runs import Turn

AHEAD = f"turn = {Turn.AHEAD.value}"  # what an operator wants to go on now, whatever the limits
CONTENDED = 0.02  # seconds after which a queue is looked at again that another worker was claiming from
SATURATED = 0.2  # and one whose places are all taken, if nobody tells sooner that one is free
PAUSED = 1.0
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


class Taking:
    """One claim under the lock."""

    def __init__(self, connection: BaseDatabaseWrapper, claimer: Claimer, want: Want, token: str, rules: Rules) -> None:
        self.connection, self.claimer, self.want, self.token, self.rules = connection, claimer, want, token, rules
        self.limits = rules.limits
        self.claims: list[Claim] = []
        self.retry_in: float | None = None
        self.after = want.after
        self.mine = Counter[str](want.mine)
        self.occupied, self.kept = _NOBODY
        if self._counts_leases:
            self.occupied, self.kept = places.occupied_by(connection, want.queue)
        self.window = rates.Window(connection, want.queue, self.limits)

    @property
    def _counts_leases(self) -> bool:
        return self.limits.concurrency is not None or self.limits.partition_concurrency is not None

    @property
    def room(self) -> int:
        return self.want.limit - len(self.claims)

    def result(self) -> Taken:
        self._pick(partition=None, limit=self.room, turns=AHEAD)
        if self.rules.paused:
            self._retry(PAUSED)
        else:
            self._take_kept()
            self._take_all()
        self.window.note_starts()
        return Taken(claims=self.claims, retry_in=self.retry_in, after=self.after)

    def has_place(self) -> bool:
        """Whether the limits leave a place for one that is to be run alone."""
        if self.rules.paused:
            return False
        waiting = places.with_suspects(self.connection, self.want.queue)
        return bool(self.kept) or any(self._places_left(partition) for partition in waiting)

    def _take_kept(self) -> None:
        """What has kept its place needs none any more, in a queue that keeps none any more too."""
        most = self.limits.partition_worker_concurrency
        in_turn = sorted(self.kept, key=lambda partition: (partition <= (self.after or ""), partition))
        for partition in in_turn if most is not None else [None] if self.kept else []:
            limit = self.room if partition is None else self._left(most, self.mine[partition])
            self._pick(partition=partition, limit=limit, reserved=True)

    def _take_all(self) -> None:
        if not self._left(self.limits.concurrency, self.occupied.total()):
            self._retry(SATURATED)
        elif self.want.suspects:
            for partition in places.with_suspects(self.connection, self.want.queue):
                self._take(partition, self.room)
        elif self.limits.partition_queue or not self._take("", self.room):
            self._take_from_partitions()

    def _take_from_partitions(self) -> None:
        """Take of each partition its share of the room that is left."""
        for chunk in self._partitions():
            for number, (partition, turn) in enumerate(chunk):
                if self.room < 1:
                    return
                self._take(partition, -(-self.room // (len(chunk) - number)), turn)
                self.after = partition

    def _take(self, partition: str, share: int, turn: int = Turn.BEGUN) -> int:
        """
        Take of one partition what the limits leave of its share.

        :param turn: that of its first run.
        """
        left, starts = min(share, self._places_left(partition)), self.window.left(partition)
        if left < 1:
            return 0
        if starts is None:
            return self._pick(partition=partition, limit=left)
        begun = self._pick(partition=partition, limit=left, turns="turn <= 0") if turn <= Turn.BEGUN else 0
        new = self._pick(partition=partition, limit=min(left - begun, starts), turns="turn > 0")
        self.window.starting(partition, new)
        if starts <= new < left - begun:
            self._retry(self.window.seconds_until_more(partition))
        return begun + new

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

    def _retry(self, seconds: float) -> None:
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
                return self._retry(SATURATED)

    def _all_partitions(self) -> Iterator[list[tuple[str, int]]]:
        before_all = None if self.limits.partition_queue else ""
        after = before_all if self.want.after is None else self.want.after
        yield from self._walk(after, None)
        if after != before_all:
            yield from self._walk(before_all, after)

    def _walk(self, after: str | None, until: str | None) -> Iterator[list[tuple[str, int]]]:
        number = max(self.room, SHORTEST_WALK)
        while heads := places.heads(self.connection, self.want.queue, after, number):
            if near := [head for head in heads if until is None or head[0] <= until]:
                yield near
            if len(near) < len(heads):
                return
            after, number = heads[-1][0], min(2 * number, LONGEST_WALK)


_NOBODY = (Counter[str](), Counter[str]())

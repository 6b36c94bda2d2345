"""
I7: limits are never exceeded by those that hold leases; read from the ledger by plain Python, which counts on its own.

What is shared by workers holds from the very line on that sets it, for the queue's row is locked by whoever claims and by
whoever changes it. What is a worker's own (``worker_concurrency``, and the pause of a queue that shares nothing) holds as soon
as the worker has read it.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tests.app.models import Ledger
from tests.queues.effects import Effect
from tests.queues.ledger import Line

ENDED = {"SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"}
LEASED = {"RUNNING", "CANCELLING"}
SHARED = ("concurrency", "limiter", "partition_queue")
ROUNDED = 0.002  # seconds: SQLite's clock has milliseconds


@dataclass
class Rules:
    """What a queue's row says, and since when."""

    limits: dict[str, Any] = field(default_factory=dict)
    paused: bool = False
    before: Rules | None = None
    since: float = 0.0

    @property
    def shared(self) -> bool:
        return any(self.limits.get(name) for name in SHARED)

    @property
    def holds(self) -> bool:
        return self.limits.get("waiting") == "hold"

    def most(self, name: str, at: float, read_within: float) -> int | None:
        """A worker's own limit: the looser one, as long as it may not have read the last."""
        now = self.limits.get(name)
        if self.before is None or at - self.since > read_within:
            return now
        before = self.before.most(name, at, read_within)
        return None if now is None or before is None else max(now, before)

    def rests(self, at: float, read_within: float) -> bool:
        """Whether nothing may be started."""
        by_all = self.shared and (self.before is None or self.before.shared or at - self.since > read_within)
        if by_all or not self.paused or self.before is None or at - self.since > read_within:
            return self.paused
        return self.before.rests(at, read_within)


@dataclass(frozen=True)
class Place:
    """Where a run counts."""

    queue: str
    part: str
    worker: str = ""
    lost: bool = False  # given up by whoever had it, without a word: a thread may have gone on to something else


class House:
    """
    Who holds what, line by line.

    :param threads: of each worker.
    :param read_within: seconds in which a worker has read a row.
    """

    def __init__(self, threads: int, read_within: float) -> None:
        self.threads = threads
        self.read_within = read_within
        self.rules: defaultdict[str, Rules] = defaultdict(Rules)
        self.leased: dict[str, Place] = {}
        self.kept: dict[str, Place] = {}
        self.lost: set[tuple[str, int | None]] = set()

    def violations(self, lines: Sequence[Line]) -> Iterator[str]:
        self.lost = {(line.name, line.attempt) for line in lines if line.given_up}
        for line in lines:
            if line.what == "queue":
                self._change(line)
            elif line.status in LEASED:
                yield from self._lease(line)
            else:
                self._release(line)

    def _change(self, line: Line) -> None:
        before = self.rules.get(line.queue)
        said = [json.loads(text) if text else None for text in (line.declared, line.overrides)]
        limits = {name: value for each in said for name, value in (each or {}).items()}
        self.rules[line.queue] = Rules(limits, bool(line.paused), before, line.at)

    def _release(self, line: Line) -> None:
        self.leased.pop(line.name, None)
        if line.status in ENDED or (line.turn or 0) < 0:
            self.kept.pop(line.name, None)

    def _lease(self, line: Line) -> Iterator[str]:
        rules = self.rules[line.queue]
        had_its_place = line.name in self.kept or line.name in self.leased
        lost = (line.name, line.attempt) in self.lost
        self.leased[line.name] = Place(line.queue, line.part, line.worker or "", lost)
        self.kept.pop(line.name, None)
        if rules.holds and line.old_status is not None:
            self.kept[line.name] = Place(line.queue, line.part)
        if line.ahead:
            return
        found = [] if had_its_place else [*self._shared(line, rules)]
        yield from (f"I7: {what} at {line}" for what in [*found, *self._own(line, rules)])

    def _shared(self, line: Line, rules: Rules) -> Iterator[str]:
        taken = [self.leased.get(name) or self.kept[name] for name in {**self.leased, **self.kept}]
        of_queue = [place for place in taken if place.queue == line.queue]
        of_part = [place for place in of_queue if place.part == line.part]
        for name, places in (("concurrency", of_queue), ("partition_concurrency", of_part)):
            most = rules.limits.get(name)
            if most is not None and len(places) > most and not self._was_unshared(line, rules):
                yield f"{len(places)} in {line.queue}, whose {name} is {most}"

    def _was_unshared(self, line: Line, rules: Rules) -> bool:
        """Whether a worker may not know as yet that it has to ask."""
        return rules.before is not None and not rules.before.shared and line.at - rules.since <= self.read_within

    def _own(self, line: Line, rules: Rules) -> Iterator[str]:
        mine = [place for place in self.leased.values() if place.worker == line.worker]
        # Outcomes of queues without limits gather while their threads go on: those are leased, and executed no more.
        in_threads = [place for place in mine if self.rules[place.queue].limits and not place.lost]
        if len(in_threads) > self.threads:
            yield f"{len(in_threads)} leases of {self.threads} threads: {in_threads}"
        of_queue = [place for place in mine if place.queue == line.queue]
        of_part = [place for place in of_queue if place.part == line.part]
        for name, places in (("worker_concurrency", of_queue), ("partition_worker_concurrency", of_part)):
            most = rules.most(name, line.at, self.read_within)
            if most is not None and len(places) > most:
                yield f"{len(places)} of {line.queue} on one worker, whose {name} is {most}"
        if rules.rests(line.at, self.read_within):
            yield "a start in a queue that is paused"


def exceeded(lines: Sequence[Line], *, threads: int, read_within: float) -> list[str]:
    """Everything that exceeds a limit."""
    return [*House(threads, read_within).violations(lines), *too_many_starts(lines)]


def too_many_starts(lines: Iterable[Line]) -> Iterator[str]:
    """Windows that hold more starts than the rate in force at their last one; only what never started spends any."""
    house = House(0, 0.0)
    begun: defaultdict[str, list[Line]] = defaultdict(list)
    for line in lines:
        if line.what == "queue":
            house._change(line)
        elif line.claimed and line.old_turn == 1:
            limits = house.rules[line.queue].limits
            rates = [(limits.get("limiter"), None), (limits.get("partition_limiter"), line.part)]
            if any(rate for rate, _ in rates):
                begun[line.queue].append(line)
            yield from (found for rate, part in rates if rate for found in _over(rate, begun[line.queue], part))


def _over(rate: dict[str, Any], begun: list[Line], part: str | None) -> Iterator[str]:
    last = begun[-1]
    window = [b for b in begun if last.at - b.at < rate["period"] - ROUNDED and part in (None, b.part)]
    if len(window) > rate["limit"]:
        yield f"I7: {len(window)} starts within {last.at - window[0].at:.3f} s in {last.queue} {part}, whose rate is {rate}"


def disorderly(lines: Sequence[Line], effects: Sequence[Effect], unlucky: set[str]) -> Iterator[str]:
    """I4, I5: what the bodies have done, counted against the claims of their runs."""
    claims = Counter(line.name for line in lines if line.claimed)
    lost = Counter(line.name for line in lines if line.given_up)
    begun = Counter((effect.run, effect.step) for effect in effects if effect.phase == "begin")
    for (run, step), times in begun.items():
        if times > min(1 + lost[run], claims[run]) and run not in unlucky:
            yield f"I4: step {step} of {run} was executed {times} times, with {claims[run]} claims and {lost[run]} lost leases"
    yield from (f"I5: {effect} without a claim" for effect in effects if not claims[effect.run])


def written_otherwise_than_once(run_ids: Iterable[str]) -> Iterator[str]:
    """I3: the row of the atomic step of each of these runs exists exactly once."""
    written = Counter(Ledger.objects.filter(step="write").values_list("run_id", flat=True))
    yield from (f"I3: {run} has written {written[run]} rows" for run in run_ids if written[run] != 1)


def overlapping(lines: Sequence[Line], effects: Sequence[Effect], queue: str, unlucky: set[str]) -> Iterator[str]:
    """Whether bodies of two runs of a queue that takes one after another were at work at the same time; resumed ones may."""
    resumed = {line.name for line in lines if line.claimed and line.ahead}
    lost = {line.name for line in lines if line.old_status == "RUNNING" and line.status not in ("SUCCESS", "WAITING")}
    of_queue = {line.name for line in lines if line.queue == queue} - lost - resumed - unlucky
    ours = [effect for effect in effects if effect.run in of_queue]
    for one, other in pairwise(ours):
        if other.phase == "end" and one.run != other.run:
            yield f"I7: {one} lies within {other}"


def interleaved(lines: Iterable[Line], queue: str) -> Iterator[str]:
    """Whether a run of a queue that takes one after another began before the one before had ended; a resumed one may."""
    at_work: dict[str, str] = {}
    resumed: set[str] = set()
    for line in (line for line in lines if line.what == "run" and line.queue == queue):
        if line.status in ENDED or (line.turn or 0) < 0:
            at_work.pop(line.name, None)
        resumed |= {line.name} if line.claimed and line.ahead else set()
        if line.claimed and line.name not in resumed:
            at_work[line.name] = line.part
            others = [name for name, part in at_work.items() if name != line.name and part == line.part]
            yield from (f"I7: {name} had not ended at {line}" for name in others)

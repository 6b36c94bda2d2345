"""
Two threads whose statements are let through one by one, in every order.

Each thread has its own connection and stops before each statement it sends, COMMIT and ROLLBACK included. The test then
says whose turn it is. A schedule is: k statements of one side, then j of the other, then the first to its end, then the
second; :func:`explore` goes through all k and j, with either side first. A side that waits for the other's lock is
recognised by asking the server, and the other one goes on.

What is asserted must hold under every schedule, so taking a slow side for a blocked one costs coverage, never a failure.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from queue import SimpleQueue
from typing import Any

from django.db import connection, connections

from durable_workflows.models import prepared
from durable_workflows.models.transactions import writer_lock
from tests.engine.isolation import innodb_transactions

PATIENCE = 30.0  # seconds; a test that hangs must fail
_side = threading.local()
HOT = {"run": prepared.run, "send": prepared.send}


class Side:
    """One of the two threads; it does job after job, on one connection."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.connection: Any = None
        self.session: Any = None
        self.error: BaseException | None = None
        self.statements: list[str] = []
        self._jobs: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._changed = threading.Condition()
        self._permits = 0
        self._at_gate = False
        self._done = True
        self._thread = threading.Thread(target=self._serve, name=f"side {name}", daemon=True)
        self._thread.start()

    # -- in its thread

    def _serve(self) -> None:
        self.connection = connections["default"]
        self.connection.ensure_connection()
        self.session = _session(self.connection)
        for end in ("_commit", "_rollback"):
            setattr(self.connection, end, self._gated(end.strip("_").upper(), getattr(self.connection, end)))
        _side.current = self
        with self.connection.execute_wrapper(self._wrapper):
            while (job := self._jobs.get()) is not None:
                self._do(job)
        _side.current = None
        self.connection.close()

    def _do(self, job: Callable[[], object]) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001  # raised by check() in the test's thread
            self.error = error
        with self._changed:
            self._done = True
            self._changed.notify_all()

    def _wrapper(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.stop_before(sql)
        return execute(sql, params, many, context)

    def _gated(self, name: str, send: Callable[[], None]) -> Callable[[], None]:
        def gated() -> None:
            self.stop_before(name)
            send()

        return gated

    def stop_before(self, sql: str) -> None:
        """Wait until this statement may be sent."""
        with self._changed:
            self.statements.append(sql)
            self._at_gate = True
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._permits, PATIENCE), f"{self.name} was never let on"
            self._permits -= 1

    # -- in the test's

    def begin(self, job: Callable[[], object]) -> None:
        """Have the thread do the job up to its first statement."""
        self.error, self.statements, self._at_gate, self._done = None, [], False, False
        self._jobs.put(job)
        self.settles()

    def step(self) -> bool:
        """Let one statement through; false if there was none to let through, because the side is done or blocked."""
        if not self.settles() or self._done:
            return False
        with self._changed:
            self._at_gate = False
            self._permits += 1
            self._changed.notify_all()
        self.settles()
        return True

    def settles(self) -> bool:
        """Wait until the side is done or before a statement; false if it waits for the other one's lock."""
        began = time.monotonic()
        while True:
            with self._changed:
                if self._changed.wait_for(lambda: self._at_gate or self._done, 0.003):
                    return True
            if self._is_blocked():
                return False
            assert time.monotonic() - began < PATIENCE, f"{self.name} hangs after {self.statements[-3:]}"

    def _is_blocked(self) -> bool:
        if connection.vendor == "sqlite":  # its writers queue in this process
            lock = writer_lock(connection)
            if free := lock.acquire(timeout=0.01):
                lock.release()
            return not free
        if connection.vendor == "mysql":
            return any("LOCK WAIT" in text and f"thread id {self.session}," in text for text in innodb_transactions(connection))
        with connection.cursor() as cursor:
            cursor.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", [self.session])
            return bool(cursor.fetchone()[0])

    @property
    def done(self) -> bool:
        return self._done

    def check(self) -> None:
        """Raise what the job raised."""
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self._jobs.put(None)
        self._thread.join(5)


def _session(connection: Any) -> Any:
    """How the server calls this session; on PostgreSQL it is told to look for deadlocks at once."""
    if connection.vendor == "sqlite":
        return None
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET deadlock_timeout = '10ms'; SET synchronous_commit = off")
        cursor.execute({"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT connection_id()"}[connection.vendor])
        return cursor.fetchone()[0]


@contextmanager
def two_sides() -> Iterator[tuple[Side, Side]]:
    """The two threads, with their connections open."""

    def gated(execute: Callable[..., Any]) -> Callable[..., Any]:
        def execute_gated(connection: Any, sql: str, params: Any) -> Any:
            if side := getattr(_side, "current", None):
                side.stop_before(sql)
            return execute(connection, sql, params)

        return execute_gated

    def gated_together(connection: Any, statements: Any) -> Any:
        if side := getattr(_side, "current", None):
            side.stop_before(statements[-1][0])
        return together(connection, statements)

    for name, execute in HOT.items():  # the statements that pass by Django's wrappers
        setattr(prepared, name, gated(execute))
    together, prepared.send_together = prepared.send_together, gated_together
    first, second = Side("first"), Side("second")
    try:
        yield first, second
    finally:
        first.close()
        second.close()
        for name, execute in HOT.items():
            setattr(prepared, name, execute)
        prepared.send_together = together


@dataclass
class Scenario:
    """Two jobs on fresh rows, and what must be true when both are done."""

    waiter: Callable[[], object]
    waker: Callable[[], object]
    check: Callable[[], None]


@dataclass
class Explored:
    """How much was tried, and how often a side had to wait for the other one's lock."""

    schedules: int = 0
    blocked: int = 0


def explore(make: Callable[[], Scenario], *, deep: bool = True) -> Explored:
    """
    Try every schedule, each on rows of its own, and check each.

    :param deep: false leaves out those that come back to the first side before the second has gone as far as it can.
    """
    explored = Explored()
    with two_sides() as (one, two):
        for order in ((one, two), (two, one)):
            for before in count():
                done = False
                for between in count() if deep else (ALL,):
                    done, gone = _try(make, (one, two), order, (before, between), explored)
                    if gone:
                        break
                if done:
                    break
    return explored


ALL = 10_000
Sides = tuple[Side, Side]


def _try(
    make: Callable[[], Scenario], sides: Sides, order: Sides, numbers: tuple[int, int], explored: Explored
) -> tuple[bool, bool]:
    """One schedule; whether either side had fewer statements to let through than its number."""
    scenario = make()
    for side, job in zip(sides, (scenario.waiter, scenario.waker), strict=True):
        side.begin(job)
    made = [_times(side, number) for side, number in zip(order, numbers, strict=True)]
    explored.schedules += 1
    explored.blocked += made[1] < numbers[1] and not order[1].done
    _to_the_end(*order)
    _checked(scenario, order, numbers)
    return made[0] < numbers[0], made[1] < numbers[1]


def _times(side: Side, times: int) -> int:
    """Let so many statements through; returns how many there were."""
    return next((number for number in range(times) if not side.step()), times)


def _to_the_end(first: Side, second: Side) -> None:
    while not (first.done and second.done):
        moved = False
        for side in (first, second):
            while side.step():
                moved = True
        if not moved:  # both wait for a lock: the server chooses a victim
            time.sleep(0.005)


def _checked(scenario: Scenario, order: tuple[Side, Side], schedule: tuple[int, int]) -> None:
    try:
        for side in order:
            side.check()
        scenario.check()
    except BaseException as error:
        said = "\n".join(f"  {side.name}: {sql[:150]}" for side in order for sql in side.statements)
        error.add_note(f"{order[0].name} first; {schedule[0]} of its statements, then {schedule[1]} of the other's.\n{said}")
        raise

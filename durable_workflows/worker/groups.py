"""
Group commit: concurrent runs share a commit without waiting for one another when there is nothing to share.

Whoever comes while no flush is under way leads: it writes at once, alone. Those who come meanwhile queue; the first of
them leads the next flush and writes for all. So a lone run pays nothing, and under load a commit carries as many rows as
threads have gathered. There is no thread of its own: leaders write on their own connections, which makes it work in a
``TestCase`` too. A caller is released only after the COMMIT. What a group could not write (fenced off, conflicting,
locked) its caller writes singly, which tells why and stalls nobody else.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from django.db import DatabaseError, InterfaceError

from durable_workflows.models import dialects
from durable_workflows.models.transactions import in_autocommit_on

T = TypeVar("T")
Single = Callable[[Any, T], bool]
Group = Callable[[Any, Sequence[T]], list[bool]]

LARGEST_GROUP = 64


class _Slot(Generic[T]):
    """An item, and the gate at which its caller waits."""

    __slots__ = ("error", "gate", "item", "leads", "written")

    def __init__(self, item: T) -> None:
        self.item = item
        self.gate = threading.Lock()
        self.gate.acquire()
        self.leads = False
        self.written: bool | None = None  # None: not by the group
        self.error: BaseException | None = None


class GroupWriter(Generic[T]):
    """
    Writes items of one kind.

    :param single: writes one, in autocommit; true if it was written.
    :param group: writes several with one commit; true for each that was.
    """

    def __init__(self, single: Single[T], group: Group[T]) -> None:
        self._single = single
        self._group = group
        self._lock = threading.Lock()
        self._queue: deque[_Slot[T]] = deque()
        self._flushing = False
        self._alone: object = None  # who writes without a slot, if somebody does

    def write(self, item: T) -> bool:
        """Write an item; returns once it is committed, or the answer of writing it singly."""
        connection = dialects.connection()
        if connection.in_atomic_block:
            return in_autocommit_on(connection, self._single, item)
        me = object()
        try:
            if self._is_alone(me):
                return in_autocommit_on(connection, self._single, item)
        finally:
            if self._alone is me:
                self._alone = None
                self._hand_over()
        slot = _Slot(item)
        try:
            if self._must_wait(slot):
                slot.gate.acquire()
            if slot.leads:
                self._lead(connection)
        except BaseException:
            # Such as Ctrl-C in the main thread. Nobody would lead if a slot without a caller came to be the first.
            self._withdraw(slot)
            raise
        if slot.error is not None:
            raise slot.error
        return slot.written if slot.written is not None else in_autocommit_on(connection, self._single, item)

    @property
    def busy(self) -> bool:
        """Whether something is being written at the moment."""
        return self._flushing

    def _is_alone(self, me: object) -> bool:
        """Whether nothing is being written: then the caller writes at once, and whoever comes meanwhile waits for it."""
        with self._lock:
            if self._flushing:
                return False
            self._flushing, self._alone = True, me
        return True

    def _must_wait(self, slot: _Slot[T]) -> bool:
        with self._lock:
            self._queue.append(slot)
            waiting, self._flushing = self._flushing, True
            slot.leads = not waiting
        return waiting

    def _withdraw(self, slot: _Slot[T]) -> None:
        with self._lock:
            if slot not in self._queue:  # another one writes it, or it has led already
                return
            self._queue.remove(slot)
        if slot.leads:
            self._hand_over()

    def _lead(self, connection: Any) -> None:
        batch: list[_Slot[T]] = []
        try:
            with self._lock:
                batch += [self._queue.popleft() for _ in range(min(len(self._queue), LARGEST_GROUP))]
            self._flush(connection, batch)
        finally:
            self._hand_over()
            for slot in batch:
                slot.gate.release()

    def _flush(self, connection: Any, batch: list[_Slot[T]]) -> None:
        if len(batch) == 1:
            self._flush_one(connection, batch[0])
            return
        try:
            written = in_autocommit_on(connection, self._group, [slot.item for slot in batch])
        except (DatabaseError, InterfaceError):
            return  # each caller writes its own, and meets its own error
        for slot, done in zip(batch, written, strict=True):
            slot.written = True if done else None

    def _flush_one(self, connection: Any, slot: _Slot[T]) -> None:
        try:
            slot.written = in_autocommit_on(connection, self._single, slot.item)
        except BaseException as error:  # noqa: BLE001  # raised by the caller whose item it is
            slot.error = error

    def _hand_over(self) -> None:
        with self._lock:
            if not self._queue:
                self._flushing = False
                return
            following = self._queue[0]
            following.leads = True
        following.gate.release()

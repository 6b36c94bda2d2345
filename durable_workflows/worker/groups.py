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
from durable_workflows.models.transactions import in_autocommit

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

    def write(self, item: T) -> bool:
        """Write an item; returns once it is committed, or the answer of writing it singly."""
        if dialects.connection().in_atomic_block:
            return in_autocommit(self._single, item)
        slot = _Slot(item)
        try:
            if self._must_wait(slot):
                slot.gate.acquire()
            if slot.leads:
                self._lead()
        except BaseException:
            # Such as Ctrl-C in the main thread. Nobody would lead if a slot without a caller came to be the first.
            self._withdraw(slot)
            raise
        if slot.error is not None:
            raise slot.error
        return slot.written if slot.written is not None else in_autocommit(self._single, item)

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

    def _lead(self) -> None:
        batch: list[_Slot[T]] = []
        try:
            with self._lock:
                batch += [self._queue.popleft() for _ in range(min(len(self._queue), LARGEST_GROUP))]
            self._flush(batch)
        finally:
            self._hand_over()
            for slot in batch:
                slot.gate.release()

    def _flush(self, batch: list[_Slot[T]]) -> None:
        if len(batch) == 1:
            self._flush_one(batch[0])
            return
        try:
            written = in_autocommit(self._group, [slot.item for slot in batch])
        except (DatabaseError, InterfaceError):
            return  # each caller writes its own, and meets its own error
        for slot, done in zip(batch, written, strict=True):
            slot.written = True if done else None

    def _flush_one(self, slot: _Slot[T]) -> None:
        try:
            slot.written = in_autocommit(self._single, slot.item)
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

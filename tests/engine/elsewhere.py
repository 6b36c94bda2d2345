"""What another session sees and does meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from django.db import connections

T = TypeVar("T")


def in_thread(work: Callable[[], T]) -> T:
    """Do ``work`` in a thread of its own, on a connection of its own, and return what it returns."""
    [came] = in_threads([work])
    return came


def in_threads(works: Sequence[Callable[[], T]]) -> list[T]:
    """Do them all at once, each in a thread of its own; raises the first error."""
    came: dict[int, Any] = {}
    errors: list[BaseException] = []

    def do(number: int, work: Callable[[], T]) -> None:
        try:
            came[number] = work()
        except BaseException as error:  # noqa: BLE001  # raised below, in the caller's thread
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=do, args=pair, daemon=True) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]
    return [came[number] for number in range(len(works))]


class Meeting:
    """Where each of several threads waits for the others, once; who comes again passes."""

    def __init__(self, parties: int) -> None:
        self._barrier = threading.Barrier(parties)
        self._met: set[str] = set()

    def __call__(self, who: str) -> None:
        if who not in self._met:
            self._met.add(who)
            self._barrier.wait(30)

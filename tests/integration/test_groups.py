"""A caller of the group writer who is interrupted while it waits stands in nobody's way."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import connections

from durable_workflows.worker.groups import GroupWriter

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 20


class Interrupted(BaseException):
    """What a handler of signals raises, as Python's own does KeyboardInterrupt."""


def until(there: Callable[[], object], what: str) -> None:
    last_look = time.monotonic() + SECONDS
    while not there():
        assert time.monotonic() < last_look, f"not within {SECONDS} s: {what}"
        time.sleep(0.01)


class Desk:
    """A writer whose first item takes until it is told, and who writes it."""

    def __init__(self) -> None:
        self.begun, self.end = threading.Event(), threading.Event()
        self.written: list[str] = []
        self.writer = GroupWriter[str](self._single, self._group)
        self.threads: list[threading.Thread] = []

    def _single(self, connection: Any, item: str) -> bool:
        if item == "first":
            self.begun.set()
            assert self.end.wait(SECONDS)
        self.written.append(item)
        return True

    def _group(self, connection: Any, items: Sequence[str]) -> list[bool]:
        self.written += items
        return [True] * len(items)

    def write(self, item: str) -> None:
        def work() -> None:
            try:
                self.writer.write(item)
            finally:
                connections.close_all()

        self.threads.append(threading.Thread(target=work, daemon=True))
        self.threads[-1].start()

    def waiting(self) -> int:
        return len(self.writer._queue)


def raise_interrupted(*signal_and_frame: object) -> None:
    raise Interrupted


@pytest.mark.parametrize("behind", [0, 2])
def test_those_who_come_later_are_written(behind: int) -> None:
    desk, main = Desk(), threading.main_thread().ident
    assert main == threading.get_ident()
    desk.write("first")
    assert desk.begun.wait(SECONDS)

    def interrupt() -> None:
        until(lambda: desk.waiting() == 1, "the main thread waits")
        for number in range(behind):
            desk.write(f"behind {number}")
        until(lambda: desk.waiting() == 1 + behind, "others wait behind it")
        signal.pthread_kill(main, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, raise_interrupted)
    try:
        threading.Thread(target=interrupt, daemon=True).start()
        with pytest.raises(Interrupted):
            desk.writer.write("interrupted")
    finally:
        signal.signal(signal.SIGUSR1, before)
    desk.end.set()
    desk.write("later")
    for thread in desk.threads:
        thread.join(SECONDS)
    assert not any(thread.is_alive() for thread in desk.threads)
    assert sorted(desk.written) == sorted(["first", "later", *(f"behind {number}" for number in range(behind))])

"""
Counts the statements that a process sends to its database, and strikes at the n-th of them.

``kill``: the process ends itself by SIGKILL, before the statement is sent or after its answer is there. ``stop``: it stops
itself there by SIGSTOP, until somebody continues it. ``drop``: the statement is carried out, then the connection is cut, so
that the caller never hears of it.

Everything is told by one environment variable, so that the product needs no door for it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

FAULT = "DURABLE_TEST_FAULT"
DROPPED = "reply lost"

SERVING = r"durable-(\d+|aside)"  # the threads of a worker that execute runs, and those that write beside their steps
CLAIMING = "durable-claimer"
BESIDE = "durable-aside"
KEEPING = "durable-housekeeper"
BEATING = "durable-heart"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """
    What is to happen to a process.

    :param act: "kill", "stop", "drop", or "" to count only.
    :param when: "before" the statement is sent, or "after" its answer has come; "" is neither as yet.
    :param number: which one of the counted statements, from 1.
    :param threads: statements of threads of this name are counted; a regular expression for the whole name.
    :param matching: statements that begin like this are counted; a regular expression.
    :param times: how many of the counted statements in a row meet it.
    :param log: a file to which each counted statement is appended.
    """

    act: str = ""
    when: str = ""
    number: int = 0
    threads: str = SERVING
    matching: str = ""
    times: int = 1
    log: str = ""

    @property
    def moments(self) -> tuple[str, ...]:
        """When it may happen; a reply is lost only after the statement was carried out."""
        if self.when:
            return (self.when,)
        return ("after",) if self.act == "drop" else ("before", "after")

    @property
    def env(self) -> dict[str, str]:
        return {FAULT: json.dumps(asdict(self))}


class Watch:
    """Sees each statement of this process twice: before it is sent, and when its answer is there."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.count = 0
        self._lock = threading.Lock()
        self._threads = re.compile(fault.threads)
        self._matching = re.compile(fault.matching, re.IGNORECASE)
        self._log = os.open(fault.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT) if fault.log else -1

    def sending(self, statement: str) -> int:
        """A statement is about to be sent; returns its number, or 0 if it is not counted."""
        name = threading.current_thread().name
        if not self._threads.fullmatch(name) or not self._matching.match(statement):
            return 0
        with self._lock:
            self.count += 1
            self._note(f"{self.count} {name} {' '.join(statement.split())[:200]}\n")
            if self.fault.when == "before":
                self._strike(self.count)
            return self.count

    def answered(self, number: int, cut: Callable[[], None] | None = None) -> None:
        """Its answer is there (an error, if there is no way to ``cut`` the connection)."""
        if self.fault.when == "after":
            with self._lock:
                self._strike(number)
        if cut is not None and self.fault.act == "drop" and self._is_meant(number):
            self._note(f"{number} {DROPPED}\n")
            cut()

    def _strike(self, number: int) -> None:
        if not self._is_meant(number):
            return
        if self.fault.act == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)  # what the kernel takes to carry it out
        elif self.fault.act == "stop":
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)  # this thread first, and it goes no further

    def _is_meant(self, number: int) -> bool:
        return 0 < self.fault.number <= number < self.fault.number + self.fault.times

    def _note(self, line: str) -> None:
        if self._log >= 0:
            os.write(self._log, line.encode())


watch = Watch(Fault())


def configure(told: str) -> None:
    """Watch for the fault that the environment tells of."""
    global watch
    watch = Watch(Fault(**json.loads(told)) if told else Fault())

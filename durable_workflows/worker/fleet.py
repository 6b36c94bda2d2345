"""
Several worker processes under one: each started anew, so that no connection is inherited, and a dead one replaced.

A terminal's Ctrl-C and a service manager's stop may reach every process of the group, the first one too, which passes the
wish on. A member could not tell that from somebody who asks twice, and would end at once. So the first one speaks through
a pipe, and says how far to go rather than "once more"; that may be heard any number of times. Should the first one be
killed, the pipe ends, and so do the members: nobody would be there to stop them.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Sequence

from durable_workflows import clock, signals
from durable_workflows.worker.supervisor import Supervisor

STOP, AT_ONCE = b"s", b"a"
MEMBER = "DURABLE_WORKFLOWS_MEMBER"  # in the environment of a member, which takes it out
LOOK_SECONDS = 0.2
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds before a process that failed early is replaced
SETTLED_SECONDS = 60.0  # one that lived for longer has not failed early, and is replaced at once
DRAINED = 83  # the exit status of a member that an operator has drained, and that is not to be replaced
TRIES = 3  # early failures in a row after which a fleet that is to drain gives a place up


class Fleet:
    """
    The first process, which starts the others and replaces them.

    :param command: the argv of a member.
    :param finite: whether members end by themselves when nothing is left to do; such a one is not replaced.
    """

    def __init__(self, size: int, command: Sequence[str], *, finite: bool) -> None:
        self._places = [_Place(command, finite) for _ in range(size)]
        self._word = b""  # not an Event: a signal's handler may interrupt who holds its lock

    def run(self) -> int:
        """Keep the places filled until ``request_stop``, or all is done; returns how many were given up."""
        while not self._word and not all(place.over for place in self._places):
            for place in self._places:
                place.look()
            clock.pause(LOOK_SECONDS)
        self._pass_on()
        for place in self._places:
            place.wait()
        return sum(place.given_up for place in self._places)

    def request_stop(self) -> None:
        """Have the members stop soon; asked again, at once. Safe in a signal handler."""
        self._word = AT_ONCE if self._word else STOP
        self._pass_on()

    def _pass_on(self) -> None:
        for place in self._places:
            place.tell(self._word)


class _Place:
    """Where one member works after another."""

    def __init__(self, command: Sequence[str], finite: bool) -> None:
        self.over = self.given_up = False
        self._command = list(command)
        self._finite = finite
        self._process: subprocess.Popen[bytes] | None = None
        self._failures = 0
        self._begin_at = self._began = 0.0

    def look(self) -> None:
        """Start a member if there is none, and see whether the one there is has ended."""
        now = clock.monotonic()
        if self._process is None:
            if not self.over and now >= self._begin_at:
                self._begin(now)
        elif (status := self._process.poll()) is not None:
            self._ended(self._process.pid, status, now)

    def _begin(self, now: float) -> None:
        self._began = now
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, bufsize=0, env=os.environ | {MEMBER: "1"})

    def _ended(self, pid: int, status: int, now: float) -> None:
        self.wait()
        self._process = None
        if status == DRAINED or (self._finite and status == 0):
            self.over = True
            return
        self._failures = self._failures + 1 if now - self._began < SETTLED_SECONDS else 0
        self.over = self.given_up = self._finite and self._failures >= TRIES
        pause = min(FIRST_PAUSE * 2.0 ** (self._failures - 1), LONGEST_PAUSE) if self._failures else 0.0
        self._begin_at = now + pause
        signals.send(signals.process_ended, pid=pid, status=status, replaced_in=None if self.over else pause)

    def tell(self, word: bytes) -> None:
        """Say it to the member, if there is one that listens; safe in a signal handler."""
        pipe = self._process.stdin if self._process else None
        if pipe is not None and word:
            try:
                pipe.write(word)
            except (OSError, ValueError):
                pass  # it has ended

    def wait(self) -> None:
        """Until the member has ended."""
        if self._process is not None:
            self._process.wait()
            if self._process.stdin is not None:
                self._process.stdin.close()


def is_member() -> bool:
    """Whether this process was started by a fleet; asked once, since what it starts itself is none."""
    return os.environ.pop(MEMBER, None) is not None


def obey(supervisor: Supervisor) -> None:
    """In a member: do what the first process says. Its standard input, by which it hears, is empty for everybody else."""
    pipe = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    threading.Thread(target=_listen, args=(pipe, supervisor), name="durable-member", daemon=True).start()


def _listen(pipe: int, supervisor: Supervisor) -> None:
    while word := os.read(pipe, 1):
        supervisor.end_soon(at_once=word == AT_ONCE)
    supervisor.end_soon(at_once=False)

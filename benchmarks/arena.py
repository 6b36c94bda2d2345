"""A contender in its fresh database: its processes, one request after another."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.protocol import Hello, Measured


class ContenderFailed(Exception):
    """A contender's process raised or died; the message is what it said."""


class Process:
    """The conductor's end of ``benchmarks.process``."""

    def __init__(self, contender: str, url: str) -> None:
        command = [sys.executable, "-m", "benchmarks.process", contender, url]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.hello = Hello(**self._read()["hello"])

    def call(self, operation: str, *args: int) -> Measured | None:
        """Have an operation carried out."""
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps({"operation": operation, "args": args}) + "\n")
        self._child.stdin.flush()
        answer = self._read()
        if "error" in answer:
            raise ContenderFailed(answer["error"])
        return Measured(**answer["measured"]) if answer["measured"] else None

    def measure(self, operation: str, count: int) -> Measured:
        """The same for an operation that measures."""
        measured = self.call(operation, count)
        assert measured is not None, operation
        return measured

    def _read(self) -> dict[str, Any]:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise ContenderFailed(f"The process ended with {self._child.wait()}; see its stderr above.")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        """Let it close what it has, and wait until it is gone."""
        self._child.communicate()

    def kill(self) -> None:
        self._child.kill()
        self._child.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Arena:
    """
    :param database: its name, :param url: and the way to it, which may lead through a counting proxy.
    """

    contender: str
    database: str
    url: str

    def through(self, url: str) -> Arena:
        """The same by another way."""
        return replace(self, url=url)

    @contextmanager
    def process(self) -> Iterator[Process]:
        """A process of the contender; gone afterwards."""
        process = Process(self.contender, self.url)
        try:
            yield process
        except BaseException:
            process.kill()
            raise
        process.end()

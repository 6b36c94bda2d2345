"""Real processes for tests: started against the test database, killed when the test is over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent


class Processes:
    """
    Starts processes with the environment of the test database, each in a session of its own.

    :param env: the whole environment of a process.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = dict(env)
        self._started: list[tuple[subprocess.Popen[bytes], IO[bytes]]] = []

    def start(
        self, *args: str, env: Mapping[str, str] | None = None, stdin: int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        """Run Python with ``args``; ``env`` is added to the environment. Its output is kept for :meth:`output`."""
        output = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process is, closed by close()
        process = subprocess.Popen(
            [sys.executable, *args],
            cwd=ROOT,
            env=self.env | dict(env or {}),
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._started.append((process, output))
        return process

    def manage(self, *args: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """``manage.py`` with ``args``."""
        return self.start("manage.py", *args, env=env)

    def worker(self, *args: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """A real ``durable_worker``."""
        return self.manage("durable_worker", *args, env=env)

    def output(self, process: subprocess.Popen[bytes]) -> str:
        """What ``process`` has printed so far, both streams in order."""
        kept = next(kept for started, kept in self._started if started is process)
        return os.pread(kept.fileno(), os.fstat(kept.fileno()).st_size, 0).decode(errors="replace")

    def expect(self, process: subprocess.Popen[bytes], text: str, seconds: float = 60) -> str:
        """
        Wait until ``process`` has printed ``text``; returns all that it printed.

        :raises AssertionError: if it ends, or ``seconds`` pass, without having said so.
        """
        last_look = time.monotonic() + seconds
        while text not in (said := self.output(process)):
            gone = process.poll() is not None and text not in self.output(process)
            assert not gone, f"the process ended with {process.returncode} before it printed {text!r}:\n{said}"
            assert time.monotonic() < last_look, f"{text!r} was not printed within {seconds} s:\n{said}"
            time.sleep(0.02)
        return said

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL for the process and all that it started, also when it is stopped; returns when it is gone."""
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # gone already, with its whole group
        process.wait()

    def close(self) -> None:
        """Kill what is left, and print what each process said; pytest shows it if the test failed."""
        for process, output in self._started:
            self.kill(process)
            print(f"--- {process.args} (exit status {process.returncode})\n{self.output(process)}")
            output.close()
        self._started.clear()

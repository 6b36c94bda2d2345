"""One child pytest of the conductor, on one database."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.reporting import Report, in_words

# How long a child may take to end: once its tests are over, and once it was interrupted.
ENDING_SECONDS = 60
INTERRUPT_SECONDS = 15
FINE = (int(pytest.ExitCode.OK), int(pytest.ExitCode.TESTS_FAILED), int(pytest.ExitCode.NO_TESTS_COLLECTED))


class Child:
    """
    A pytest process on the database ``name``.

    :param args: the arguments of pytest.
    :param directory: where its report goes.
    """

    _printing = threading.Lock()

    def __init__(self, name: str, args: Sequence[str], *, cwd: Path, directory: Path) -> None:
        self.name = name
        self.origin = ""
        self.problem = ""
        self.report = Report()
        self.seconds = 0.0
        self.env = os.environ | {"DURABLE_TEST_DATABASE": name, "DURABLE_TEST_REPORT": str(directory / f"{name}.json")}
        self._report_file = directory / f"{name}.json"
        self._command = [sys.executable, "-m", "pytest", *args]
        self._cwd = cwd
        self._process: subprocess.Popen[str] | None = None
        self._over_since: float | None = None

    @property
    def status(self) -> int:
        """The exit status of pytest; 1 for a process that never started or was killed."""
        code = self._process.returncode if self._process else None
        return code if code is not None and code >= 0 else int(pytest.ExitCode.TESTS_FAILED)

    def run_on_the_terminal(self) -> None:
        """Run with this terminal, and in its process group, so that a debugger works."""
        print(f" {self.name} ".center(100, "="), flush=True)
        begun = time.monotonic()
        self._process = subprocess.Popen(self._command, cwd=self._cwd, env=self.env, text=True)
        self._process.wait()
        self._finish(self._process, begun)

    def run_beside_others(self, slots: threading.Semaphore) -> None:
        """Run when there is a slot, each line of output marked with the database."""
        with slots:
            begun = time.monotonic()
            width = max(60, shutil.get_terminal_size((120, 40)).columns - 13)
            self._process = subprocess.Popen(
                self._command,
                cwd=self._cwd,
                env=self.env | {"PYTHONUNBUFFERED": "1", "COLUMNS": str(width)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            self._pass_on_output(self._process)
            self._process.wait()
            self._finish(self._process, begun)

    def _pass_on_output(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                with self._printing:
                    print(f"{self.name:<10} | {line.rstrip()}", flush=True)

    def _finish(self, process: subprocess.Popen[str], begun: float) -> None:
        self.seconds = time.monotonic() - begun
        self.report = Report.read(self._report_file)
        if not self.problem and (process.returncode not in FINE or not self._report_file.exists()):
            self.problem = f"pytest broke off with exit status {process.returncode}; see its output above"

    def interrupt(self) -> None:
        """Ask pytest to stop and say what it found so far."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)

    def end(self, within: float = INTERRUPT_SECONDS) -> None:
        """Wait for an interrupted process, then kill it and what it started."""
        if self._process is None:
            return
        try:
            self._process.wait(within)
        except subprocess.TimeoutExpired:
            self._kill(self._process)

    def end_if_it_hangs(self) -> None:
        """Kill a process that has written its report long ago and does not end: a test left a thread or a process behind."""
        if self._process is None or self._process.poll() is not None or not self._report_file.exists():
            return
        self._over_since = self._over_since or time.monotonic()
        if time.monotonic() - self._over_since > ENDING_SECONDS:
            self.problem = f"its tests were over, but it did not end within {ENDING_SECONDS} s: a test left a thread behind"
            self._kill(self._process)

    def _kill(self, process: subprocess.Popen[str]) -> None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:  # it shares the conductor's group, or is gone
            process.kill()
        process.wait()

    def must_have_used_its_database(self, *, whole: bool) -> None:
        """A run that left its database alone did not test it; one of a few tests may have got those that need none."""
        ran = self.report.passed + self.report.failed
        if not self.problem and not (ran and (self.report.version or not whole)):
            self.problem = "no test ran on this database"

    def counts(self) -> Counter[str]:
        """Tests by outcome; a problem counts as one more failure."""
        report = self.report
        return Counter(passed=report.passed, failed=report.failed + bool(self.problem), skipped=report.skipped)

    def in_words(self) -> str:
        """One line of the summary."""
        which = " ".join(filter(None, [self.name, self.report.version, self.origin and f"({self.origin})"]))
        if not self._process:
            return f"{which}: DID NOT RUN, {self.problem}"
        seed = f", seed {self.report.seed}" if self.report.seed is not None else ""
        problem = f"; PROBLEM: {self.problem}" if self.problem else ""
        unused = "" if self.report.version or problem else "; no test needed it"
        return f"{which}: {in_words(self.counts())} in {self.seconds:.0f} s{seed}{unused}{problem}"

"""What one run of pytest on one database found, as JSON for the conductor: counted by hooks, never read from its output."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

VERSION = "durable_database_version"


@dataclass(slots=True)
class Report:
    """The outcome of one run; ``version`` stays empty when no test opened the database."""

    version: str = ""
    seed: int | None = None
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)  # what failed, and the first line of why

    @classmethod
    def read(cls, path: Path) -> Report:
        """The report in this file; an empty one when the run ended without writing it."""
        return cls(**json.loads(path.read_text())) if path.exists() else cls()


class Reporter:
    """
    The plugin that counts and writes.

    :param path: the file to write at the end of the session.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.report = Report()

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._failed(report)
        elif report.skipped:
            self.report.skipped += 1

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed(report)
        elif report.skipped:  # an expected failure counts as skipped too
            self.report.skipped += 1
        elif report.when == "call":
            self.report.passed += 1

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Of pytest-xdist: one of the processes that the tests were dealt out to is done."""
        self.report.version = self.report.version or getattr(node, "workeroutput", {}).get(VERSION, "")

    def _failed(self, report: pytest.CollectReport | pytest.TestReport) -> None:
        crash = getattr(report.longrepr, "reprcrash", None)
        why = (crash.message if crash else report.longreprtext).strip()
        self.report.failed += 1
        self.report.failures.append((report.nodeid, why.splitlines()[0] if why else ""))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self.report.seed = session.config.getoption("randomly_seed", None)
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self.report)))
        partial.rename(self.path)


def register(config: pytest.Config) -> None:
    """Count this run, if the conductor asked for it; one that runs a part of it for another does not count."""
    if hasattr(config, "workerinput"):
        return
    if path := os.environ.get("DURABLE_TEST_REPORT"):
        config.pluginmanager.register(Reporter(Path(path)), Reporter.__name__)


def database_opened(config: pytest.Config, version: str) -> None:
    """Note that tests run on a server of this version."""
    if (output := getattr(config, "workeroutput", None)) is not None:  # to the process that dealt the tests out
        output[VERSION] = version
    if reporter := config.pluginmanager.get_plugin(Reporter.__name__):
        reporter.report.version = version


def in_words(counts: Counter[str]) -> str:
    """``12 passed, 0 failed, 1 skipped``."""
    return ", ".join(f"{counts[word]} {word}" for word in ("passed", "failed", "skipped"))

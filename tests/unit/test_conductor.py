"""The test command itself: it counts right, and never passes over a database in silence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import psutil
import pytest

from tests.children import Child
from tests.processes import ROOT
from tests.reporting import Report

HERE = "tests/unit/test_conductor.py::test_a_run_that_left_its_database_alone_is_a_problem"  # two tests that pass
NOWHERE = "postgresql://postgres@127.0.0.1:1/postgres"
OUTCOMES = """
import pytest
def test_passes(db): pass
def test_fails(): assert 1 == 2
def test_is_skipped(): pytest.skip("for the count")
@pytest.mark.xfail(reason="for the count")
def test_fails_as_expected(): assert False
@pytest.fixture
def broken(): raise RuntimeError("broken fixture")
def test_has_a_broken_fixture(broken): pass
"""


class Conduct(Protocol):
    def __call__(self, *args: str, databases: str, **env: str) -> subprocess.Popen[str]: ...


@pytest.fixture
def conduct() -> Iterator[Conduct]:
    """Starts the test command as a user does, with an environment that names no server."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("DURABLE_TEST_", "PYTEST_"))}
    with ExitStack() as cleanup:

        def start(*args: str, databases: str, **env: str) -> subprocess.Popen[str]:
            run = cleanup.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *args],
                    cwd=ROOT,
                    env=clean | {"DURABLE_TEST_DATABASES": databases} | env,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
            cleanup.callback(run.kill)
            return run

        yield start


def lines_of(run: subprocess.Popen[str]) -> list[str]:
    return run.communicate(timeout=100)[0].strip().splitlines()


def test_outcomes_are_added_up_in_the_last_line(conduct: Conduct, tmp_path: Path) -> None:
    (tmp_path / "test_outcomes.py").write_text(OUTCOMES)
    run = conduct(HERE, str(tmp_path), databases="sqlite")
    lines = lines_of(run)
    assert run.returncode == 1
    assert lines[-1] == "3 passed, 2 failed, 2 skipped"
    assert lines[-2].startswith("sqlite")
    assert sum(line.startswith("FAILED on sqlite:") for line in lines) == 2


def test_a_database_that_cannot_be_reached_fails_the_run_and_the_others_run(conduct: Conduct) -> None:
    run = conduct(HERE, databases="sqlite,postgresql", DURABLE_TEST_POSTGRESQL_URL=NOWHERE)
    lines = lines_of(run)
    assert run.returncode == 1
    assert any(line.startswith("postgresql: DID NOT RUN, no server:") for line in lines)
    assert lines[-1] == "2 passed, 1 failed, 0 skipped"


def test_an_unknown_database_is_refused(conduct: Conduct) -> None:
    run = conduct(databases="sqlite,oracle")
    assert "'oracle' is none of sqlite, postgresql, mariadb" in lines_of(run)[-1]
    assert run.returncode == 4


def test_a_termination_reaches_the_children(conduct: Conduct, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pid")
    (tmp_path / "test_endless.py").write_text(
        "import os, time\n"
        f"def test_endless():\n    open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n    time.sleep(600)\n"
    )
    run = conduct(HERE, str(tmp_path), databases="sqlite")
    child = int((tmp_path / "pid").read_text())  # blocks until the child is in its test
    assert psutil.pid_exists(child)
    run.send_signal(signal.SIGTERM)
    assert lines_of(run)[-1] == "interrupted"
    assert run.returncode == 2
    assert not psutil.pid_exists(child)


@pytest.mark.parametrize("report", [Report(passed=3), Report(version="15.1", skipped=3)], ids=["never opened", "all skipped"])
def test_a_run_that_left_its_database_alone_is_a_problem(report: Report, tmp_path: Path) -> None:
    child = Child("postgresql", [], cwd=tmp_path, directory=tmp_path)
    child.report = report
    child.must_have_used_its_database(whole=True)
    assert child.problem == "no test ran on this database"
    assert child.counts()["failed"] == 1


def test_a_few_tests_may_be_of_those_that_need_no_database(tmp_path: Path) -> None:
    child = Child("postgresql", [], cwd=tmp_path, directory=tmp_path)
    child.report = Report(passed=3)
    child.must_have_used_its_database(whole=False)
    assert not child.problem

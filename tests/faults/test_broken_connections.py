"""
Nothing is lost and nothing comes twice while PostgreSQL's connections are broken every few seconds.

In one variant all sessions of the process are ended at once, wherever they are; in the other the server itself is killed,
and recovers. The numbers of the slow variants are those that somebody would trust with payments.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from tests import databases
from tests.faults.conversation import EACH, MARK
from tests.processes import ROOT

SMALL, LARGE = (400, 200), (10_000, 5_000)
SECONDS = 3.0  # between two breaks
slow = pytest.mark.slow
sizes = pytest.mark.parametrize(("pairs", "events"), [SMALL, pytest.param(*LARGE, marks=[slow, pytest.mark.timeout(1800)])])


@sizes
@pytest.mark.django_db(transaction=True)
def test_sessions_that_are_ended(
    pairs: int, events: int, database: str, subprocess_env: dict[str, str], tmp_path: Path
) -> None:
    if database != "postgresql":
        pytest.skip("it is PostgreSQL whose sessions are ended")
    breaks, found = conversed(subprocess_env, (pairs, events), tmp_path, lambda: databases.disconnect_others(connection))
    assert breaks >= EACH // MARK
    check(found, pairs, events)


@sizes
@pytest.mark.once
def test_a_server_that_is_killed(pairs: int, events: int, subprocess_env: dict[str, str], tmp_path: Path) -> None:
    with databases.own_server() as (url, restart):
        env = subprocess_env | {
            "DURABLE_TEST_DATABASE": "postgresql", databases.URL_VARIABLE["postgresql"]: url,
            "DURABLE_TEST_DATABASE_NAME": "postgres",
        }  # fmt: skip
        breaks, found = conversed(env, (pairs, events), tmp_path, restart)
    assert breaks >= EACH // MARK
    check(found, pairs, events)


def conversed(
    env: Mapping[str, str], numbers: tuple[int, int], home: Path, break_all: Callable[[], None]
) -> tuple[int, dict[str, Any]]:
    """
    Have a process talk, and break what it has at each of its marks, and every few seconds, until it is done.

    :returns: how often that was, and what the process found.
    """
    output, breaks, marks, last = home / "output", 0, 0, time.monotonic()
    with output.open("w") as file:
        command = [sys.executable, "-m", "tests.faults.conversation", *map(str, numbers)]
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=file, stderr=file, text=True)
    assert process.stdin is not None
    try:
        while process.poll() is None:
            time.sleep(0.05)
            said = output.read_text()
            if said.count("and on") > marks:
                marks += 1
                process.stdin.write("yes\n")
                process.stdin.flush()
            elif "talking" not in said or time.monotonic() < last + SECONDS:
                continue
            break_all()
            breaks, last = breaks + 1, time.monotonic()
    finally:
        process.kill()
        process.communicate()
    lines = output.read_text().splitlines()
    assert process.returncode == 0, "\n".join(lines[-30:])
    return breaks, json.loads(next(line for line in reversed(lines) if line.startswith("{")))


def check(found: Mapping[str, Any], pairs: int, events: int) -> None:
    numbers = list(range(EACH))
    assert len(found["heard"]) == pairs // (2 * EACH)
    for heard in found["heard"]:
        assert [number for sender, number in heard if sender == "outside"] == numbers
        assert [number for sender, number in heard if sender == "workflow"] == numbers
    assert found["published"] == [EACH] * (events // EACH)
    assert found["events"] == [[str(number) for number in numbers]] * (events // EACH)
    assert (found["messages"], found["unheard"], found["places"]) == (pairs, 0, 0)

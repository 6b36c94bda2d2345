"""
Every fault at every statement of a checkout, on one database: ``python -m tests.faults.every_kill --database postgresql``.

It takes minutes, and writes what it found into ``docs/every-kill.md``, after each sweep, in the place of what that said of
it before. The exit status is 1 if an invariant was violated.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from tests import databases
from tests.processes import ROOT, Processes

if TYPE_CHECKING:
    from tests.faults.rounds import Round

OPEN_FILES = 4096  # what each worker says is kept in one
REPORT = ROOT / "docs" / "every-kill.md"
DRIVERS = {"postgresql": "psycopg", "mariadb": "mysqlclient"}
THREADS = {
    "executing": r"durable-\d+",
    "claiming": "durable-claimer",
    "housekeeping": "durable-housekeeper",
    "heartbeat": "durable-heart",
}
FAULTS = [
    ("kill", "executing"), ("kill", "claiming"), ("kill", "housekeeping"),
    ("stop", "executing"),
    ("drop", "executing"), ("drop", "claiming"), ("drop", "housekeeping"), ("drop", "heartbeat"),
]  # fmt: skip
ON_SQLITE = {"kill"}  # a stopped process keeps the file's write lock, and there is no connection to lose


@dataclass
class Sweep:
    """All rounds of one fault on one kind of threads; ``step`` is 1 if no statement was left out."""

    act: str
    threads: str
    step: int = 1
    rounds: list[Round] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def violations(self) -> list[str]:
        return [found for done in self.rounds for found in done.violations]

    def row(self, database: str, seed: int) -> str:
        """Its line of the report's table."""
        met = [done for done in self.rounds if done.struck]
        cells = [
            database, self.act, self.threads, self.step, max((done.statements for done in self.rounds), default=0),
            len(self.rounds), sum(done.fault.when == "before" for done in met), sum(done.fault.when == "after" for done in met),
            len(self.violations), f"{max((done.recovered for done in met), default=0):.1f}", round(self.seconds), seed,
        ]  # fmt: skip
        return f"| {' | '.join(map(str, cells))} |"


def main(argv: Sequence[str]) -> int:
    given = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that workers and server are ended
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    seed = given.seed or random.SystemRandom().randrange(1, 10**6)
    with _database(given.database) as database:
        print(f"{database}, seed {seed}", flush=True)
        violated = False
        for act, threads in _wanted(given):
            sweep = _sweep(given, act, threads, seed)
            print(row := sweep.row(database, seed), flush=True)
            if given.first == 1:
                _write(row)
            violated |= bool(sweep.violations)
    return int(violated)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.every_kill", description=__doc__.split("\n\n")[0])
    parser.add_argument("--database", choices=databases.KNOWN, default="sqlite")
    parser.add_argument("--seed", type=int, default=0, help="Of what is left to chance in the workers.")
    parser.add_argument("--only", help="One of the sweeps, such as kill:executing.")
    parser.add_argument("--step", type=int, default=1, help="Leave statements out: take every so many.")
    parser.add_argument("--first", type=int, default=1, help="Begin at this statement; nothing is reported then.")
    return parser


def _wanted(given: argparse.Namespace) -> list[tuple[str, str]]:
    possible = [sweep for sweep in FAULTS if given.database != "sqlite" or sweep[0] in ON_SQLITE]
    return [(act, threads) for act, threads in possible if given.only in (None, f"{act}:{threads}")]


@contextmanager
def _database(name: str) -> Iterator[str]:
    """A test database of this vendor; gives what it is, in words."""
    with ExitStack() as cleanup:
        os.environ |= {"DURABLE_TEST_DATABASE": name, "DJANGO_SETTINGS_MODULE": "tests.settings"}
        if name != "sqlite" and not databases.configured(name, os.environ):
            os.environ[databases.URL_VARIABLE[name]] = cleanup.enter_context(databases.own_postgresql())
        import django

        django.setup()
        from django.db import connection

        connection.creation.create_test_db(verbosity=0, autoclobber=True)
        cleanup.callback(connection.creation.destroy_test_db, "", verbosity=0)
        cleanup.callback(databases.disconnect_others, connection)
        yield _in_words(name, databases.version(connection))


def _in_words(name: str, server: str) -> str:
    driver = f", {DRIVERS[name]} {version(DRIVERS[name])}" if name in DRIVERS else ""
    return f"{name} {server}{driver}, Django {version('Django')}, Python {platform.python_version()}"


def _sweep(given: argparse.Namespace, act: str, threads: str, seed: int) -> Sweep:
    from tests.faults.arena import Arena
    from tests.faults.killer import Fault
    from tests.faults.rounds import every

    sweep, began = Sweep(act, threads, given.step), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="every-kill-") as directory:
        processes = Processes(_environment(given.database))
        try:
            arena = Arena(processes, Path(directory), seed)
            arena.warm_up()
            for done in every(arena, Fault(act=act, threads=THREADS[threads], number=given.first), given.step):
                sweep.rounds.append(done)
                print(f"{threads}: {done}", flush=True)
        finally:
            with redirect_stdout(None):  # what workers said in hundreds of rounds
                processes.close()
    sweep.seconds = time.monotonic() - began
    return sweep


def _environment(database: str) -> dict[str, str]:
    from django.db import connection

    return os.environ | {
        "DURABLE_TEST_DATABASE": database,
        "DURABLE_TEST_DATABASE_NAME": str(connection.settings_dict["NAME"]),
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }


def _write(row: str) -> None:
    """Put this row in the place of what the report said of the same sweep; what people wrote below the table stays."""
    known, heading, below = (REPORT.read_text() if REPORT.exists() else "").partition(FOUND)
    lines = [*known.splitlines(), row]
    rows = {_sweep_of(line): line for line in lines if line.startswith(tuple(f"| {name} " for name in databases.KNOWN))}
    REPORT.write_text(PREFACE + "".join(f"{rows[key]}\n" for key in sorted(rows)) + heading + below)


def _sweep_of(row: str) -> tuple[int, int]:
    """Which sweep a row is about: its places among the databases and the faults."""
    _, database, act, threads, *_ = [cell.strip() for cell in row.split("|")]
    return databases.KNOWN.index(database.split()[0]), FAULTS.index((act, threads))


FOUND = "\n## What was found\n"
PREFACE = """\
# Every fault at every statement

A worker process executes a checkout: atomic steps, effects outside of the database, a sleep, messages, a child that is
started and one that is called, a step with retries, an event, a stream, a run that a step starts. It meets a fault at the
first statement that it sends to the database, in the next round at the second, and so on, until the checkout gets through
unharmed. Another worker finishes what is left, and the invariants are checked against the rows, and against a ledger that
each step writes outside of the engine:

* every acknowledged start ended, with one outcome that every reader got;
* what atomic steps wrote exists exactly once, effects outside at least once and never again after their record, in order;
* nothing is stuck, left behind, or charged that had not started;
* the code, answered by the recorded history alone, comes to the same outcome.

The faults: `kill` is a SIGKILL before the statement is sent, or after its answer has come. `stop` is a SIGSTOP at the same
places, past the lease; when the other worker has finished the run, the stopped one is continued, and must change nothing,
and work on. `drop` cuts the connection after the server has carried the statement out, so that its answer is lost. Statements
are counted at the driver, BEGIN and COMMIT included, on the threads that execute runs, and on those that write to streams beside
their steps; and in sweeps of their own on those that claim runs, keep house and beat. Leases are of one second. On SQLite there is no connection to lose, and a stopped
process keeps the file's write lock, which nobody can take from it, so that there is only `kill`.

"each" says whether each statement had its rounds (1), or every so many; "statements", how many there were in the longest
round. Two rounds of one sweep do not send the same statements throughout, since they meet other moments of the clock.

Made by `python -m tests.faults.every_kill --database sqlite`, and `postgresql`, and `mariadb`. The seed is that of what is
left to chance in the workers.

| database | fault | threads | each | statements | rounds | met before | met after | violations | slowest recovery, s | took, s | seed |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""
Every fault at every statement of a run that ends in each way: ``python -m tests.faults.every_ending --database postgresql``.

It takes minutes, and prints what it found. The exit status is 1 if something was wrong.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

from tests.faults.every_kill import THREADS, _database, _environment, _parser
from tests.processes import Processes


def main(argv: Sequence[str]) -> int:
    given = _parser().parse_args(argv)
    violations = 0
    with _database(given.database) as database:
        print(database, flush=True)
        for act in ("kill",) if given.database == "sqlite" else ("kill", "drop"):
            if given.only in (None, act):
                violations += _sweep(given.database, act, given.step)
    return int(bool(violations))


def _sweep(database: str, act: str, step: int) -> int:
    from tests.faults.arena import Arena
    from tests.faults.endings import every
    from tests.faults.killer import Fault

    rounds, violations = 0, 0
    with tempfile.TemporaryDirectory(prefix="every-ending-") as directory:
        processes = Processes(_environment(database))
        try:
            arena = Arena(processes, Path(directory))
            arena.warm_up()
            for showed in every(arena, Fault(act=act, threads=THREADS["executing"]), step):
                print(showed, flush=True)
                rounds, violations = rounds + showed.struck, violations + len(showed.violations)
        finally:
            with redirect_stdout(None):  # what workers said in hundreds of rounds
                processes.close()
    print(f"{database}: {act} met {rounds} times, {violations} violations", flush=True)
    return violations


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

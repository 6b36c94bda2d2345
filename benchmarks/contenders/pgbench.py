"""PostgreSQL's own load generator, to tell how much of a floor is the server and how much is Python."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from benchmarks.contenders.floor import Floor
from benchmarks.payload import PAYLOAD
from benchmarks.protocol import Measured

SCRIPT = (
    "\\set position random(1, 2000000000)\n"
    "INSERT INTO step (run_id, generation, branch, position, name, kind, output, error, started_at, completed_at)"
    " VALUES ('pgbench', 0, '', :position, 'echo', 'step', '{text}', NULL, now(), clock_timestamp());\n"
)


class Pgbench(Floor):
    """One client, one thread, prepared statements."""

    semantics = {"plain_inserts": "the same INSERT by pgbench -M prepared, 1 client"}
    absent = {} if shutil.which("pgbench") else {"plain_inserts": "pgbench is not installed"}

    def plain_inserts(self, count: int) -> Measured:
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
            Path(script.name).write_text(SCRIPT.format(text="x" * len(str(PAYLOAD))))
            command = ["pgbench", "-n", "-M", "prepared", "-f", script.name, "-t", str(count), self.url]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        (rate,) = re.findall(r"^tps = ([\d.]+) \(without", said, re.MULTILINE)
        return Measured(count=count, seconds=count / float(rate), cpu=0.0)


CONTENDER = Pgbench

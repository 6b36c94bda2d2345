"""Where faults are met: worker processes on the test database, a ledger outside of it, and one warm worker."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from durable_workflows import Queue, SetWorkflowID
from durable_workflows.models import Worker
from tests.app.models import Account
from tests.faults import ledger
from tests.faults.apps import SEED, SERVE_FILE
from tests.faults.invariants import STARTING_BALANCE
from tests.faults.killer import Fault
from tests.faults.workflows import checkout
from tests.processes import Processes

LOOK_SECONDS = 0.03
PATIENCE = 60.0  # seconds
STARTS_WITHIN = 3.0  # seconds that a worker takes to start on a machine that has time for it
THREADS = "2"


class Arena:
    """
    Starts workers, and has a warm one take over when told to.

    :param directory: for the ledger and the logs of statements.
    :param seed: of what is left to chance in the workers.
    """

    def __init__(self, processes: Processes, directory: Path, seed: int = 0) -> None:
        self.processes = processes
        self.directory = directory
        self.ledger = directory / "ledger"
        self.warm: subprocess.Popen[bytes] | None = None
        self.slowness = 1.0  # of a machine that is busy with other things, by how long a worker took to start
        self._serve = directory / "serve"
        self._serve.touch()
        self._told: set[str] = set()
        self._telling = threading.Lock()
        self.env = {
            "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
            ledger.FILE: str(self.ledger),
            SEED: str(seed),
            "PYTHONFAULTHANDLER": "1",
        }

    def new_order(self, kind: str) -> str:
        """The name of an order, which is the name of its queue too."""
        return f"{kind}-{uuid4().hex[:8]}"

    def worker(self, *args: str, fault: Fault | None = None) -> subprocess.Popen[bytes]:
        """A worker process that writes into this arena's ledger."""
        return self.processes.worker("--threads", THREADS, *args, env=self.env | (fault.env if fault else {}))

    def warm_up(self) -> subprocess.Popen[bytes]:
        """Start the worker that takes over; returns when it beats."""
        env = self.env | {SERVE_FILE: str(self._serve)}
        self.warm = self.processes.worker("--threads", "6", "--exclude-queues", "default", env=env)
        self.slowness = max(1.0, self.until_beating(self.warm) / STARTS_WITHIN)
        return self.warm

    def take_over(self, queue: str) -> None:
        """Tell the warm worker to serve this queue too."""
        with self._telling:
            self._told.add(queue)
            self._tell()

    def let_go(self, queue: str) -> None:
        """Tell it to serve this one no longer: what it looks at would grow with each round."""
        with self._telling:
            self._told.discard(queue)
            self._tell()

    def _tell(self) -> None:
        written = self._serve.with_suffix(".new")
        written.write_text("\n".join(sorted(self._told)))
        written.rename(self._serve)

    def begin(self, order: str) -> None:
        """Start a checkout on a queue of its own, named after its order."""
        Account.objects.create(name=order, balance=STARTING_BALANCE)
        with SetWorkflowID(f"checkout-{order}"):
            Queue(order).enqueue(checkout, order, order)

    def until_beating(self, worker: subprocess.Popen[bytes]) -> float:
        """Wait until a worker has registered; returns the seconds that it took."""
        return self.until(lambda: Worker.objects.filter(pid=worker.pid).exists(), "a worker to register", worker)

    def until(self, there: Callable[[], Any], what: str, worker: subprocess.Popen[bytes] | None = None) -> float:
        """
        Wait until ``there()``; returns the seconds that it took.

        :raises AssertionError: if it does not come about, or the worker that is to bring it about ends.
        """
        began = time.monotonic()
        while not there():
            assert worker is None or worker.poll() is None, f"The worker ended: {self.processes.output(worker)}"
            assert time.monotonic() - began < PATIENCE, f"Waited {PATIENCE} seconds for {what}."
            time.sleep(LOOK_SECONDS)
        return time.monotonic() - began

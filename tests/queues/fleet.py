"""Real workers, several at once, that a test kills, stops and starts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from typing import Any

from durable_workflows import WorkflowHandle
from durable_workflows.models import Worker, WorkflowRun
from tests.processes import Processes
from tests.queues import effects, ledger
from tests.queues.effects import Effect
from tests.queues.ledger import Line

PATIENCE = 90.0  # seconds that something may take on a machine that has other things to do
LOOK_SECONDS = 0.05


class Fleet:
    """
    Worker processes on the test database.

    :param settings: of ``DURABLE_WORKFLOWS``, beside those of ``tests.queues.settings``.
    """

    def __init__(self, processes: Processes, threads: int = 4) -> None:
        self.processes = processes
        self.threads = threads
        self.settings: dict[str, Any] = {}
        self.workers: list[subprocess.Popen[bytes]] = []

    def start(self, number: int, *, queues: Iterable[str] = (), threads: int | None = None) -> list[subprocess.Popen[bytes]]:
        """Start so many workers; returns when all of them are registered."""
        env = {"DJANGO_SETTINGS_MODULE": "tests.queues.settings", "DURABLE_TEST_SETTINGS": json.dumps(self.settings)}
        args = ["--threads", str(threads or self.threads), *(("--queues", ",".join(queues)) if queues else ())]
        started = [self.processes.worker(*args, env=env) for _ in range(number)]
        self.workers += started
        for worker in started:
            self.until(lambda worker=worker: Worker.objects.filter(pid=worker.pid).exists(), "a worker to register")  # type: ignore[misc]
        return started

    def kill(self, worker: subprocess.Popen[bytes]) -> None:
        self.processes.kill(worker)
        self.workers.remove(worker)

    @staticmethod
    def stop(worker: subprocess.Popen[bytes]) -> None:
        os.kill(worker.pid, signal.SIGSTOP)

    @staticmethod
    def go_on(worker: subprocess.Popen[bytes]) -> None:
        os.kill(worker.pid, signal.SIGCONT)

    def until(self, there: Callable[[], Any], what: str, seconds: float = PATIENCE) -> float:
        """Wait until ``there()``; returns the seconds that it took."""
        began = time.monotonic()
        while not there():
            for worker in self.workers:
                assert worker.poll() is None, f"A worker ended by itself: {self.processes.output(worker)}"
            assert time.monotonic() - began < seconds, f"Waited {seconds} s for {what}. Unfinished: {unfinished()}"
            time.sleep(LOOK_SECONDS)
        return time.monotonic() - began

    def until_all_ended(self, seconds: float = PATIENCE) -> float:
        return self.until(lambda: not WorkflowRun.objects.unfinished().exists(), "all runs to end", seconds)

    @staticmethod
    def lines() -> list[Line]:
        return ledger.read()

    @staticmethod
    def effects() -> list[Effect]:
        return effects.read()


def unfinished() -> list[tuple[Any, ...]]:
    """The first of those that have not ended, for the error."""
    rows = WorkflowRun.objects.unfinished().order_by("queue", "turn", "rank", "queued_at")
    return [*rows.values_list("pk", "queue", "partition_key", "status", "stranded", "suspect", "holds_slot", "worker_id")[:20]]


def running(handle: WorkflowHandle[Any]) -> bool:
    return bool(handle.run.status == "RUNNING")

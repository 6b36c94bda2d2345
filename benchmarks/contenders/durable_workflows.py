"""This project, with its default settings."""

from __future__ import annotations

import os
import platform
from typing import Any

import django

from benchmarks.contenders.base import Contender
from benchmarks.idle import timed_answers
from benchmarks.payload import PAYLOAD
from benchmarks.protocol import Measured, stopwatch

DRAINED = "threads of the default setting (16); each run is claimed, its step's checkpoint fenced, its outcome stored"


class DurableWorkflows(Contender):
    """Called as a Django project calls it."""

    semantics = {
        "steps": "a fenced checkpoint committed for each step",
        "row_steps": "an ORM row and the fenced checkpoint in one transaction for each step",
        "calls": "run inserted with a lease, checkpoint, outcome",
        "enqueue": "one committed row for each",
        "enqueue_atomic": "all rows in one atomic() block",
        "enqueue_bulk": "all rows in one transaction, 500 to a statement",
        "enqueue_narrow": "one after another, on a queue with concurrency=1",
        "drain_narrow": "as for drain, one run at a time, counted under the queue's row lock",
        "drain": DRAINED,
        "latencies": "a worker in another process hears of the enqueue",
        "orm_create": "Model.objects.create() of the row that B1a's steps write, each committed",
    }

    def __init__(self, url: str) -> None:
        super().__init__(url)
        os.environ |= {"BENCH_DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "benchmarks.settings"}
        django.setup()
        from benchmarks.app import models, workflows
        from durable_workflows import Queue

        self.workflows, self.Note, self.queue = workflows, models.Note, Queue("default")
        self.supervisor: Any = None

    def versions(self) -> dict[str, str]:
        from importlib.metadata import version

        ours = version("durable_workflows")
        return {"durable_workflows": ours, "Django": django.__version__, "Python": platform.python_version()}

    def prepare(self) -> None:
        from django.core.management import call_command

        call_command("migrate", run_syncdb=True, verbosity=0)

    def close(self) -> None:
        from durable_workflows.worker.local import LOCAL

        if self.supervisor:
            self.supervisor.stop(5)
        LOCAL.close()

    def steps(self, count: int) -> Measured:
        with stopwatch() as watch:
            self.workflows.many_steps(count)
        return watch.measured(count)

    def row_steps(self, count: int) -> Measured:
        with stopwatch() as watch:
            self.workflows.many_rows(count)
        return watch.measured(count)

    def calls(self, count: int) -> Measured:
        with stopwatch() as watch:
            for _ in range(count):
                self.workflows.one_step(PAYLOAD)
        return watch.measured(count)

    def enqueue(self, count: int) -> Measured:
        with stopwatch() as watch:
            for _ in range(count):
                self.queue.enqueue(self.workflows.one_step, PAYLOAD)
        return watch.measured(count)

    def enqueue_atomic(self, count: int) -> Measured:
        from django.db import transaction

        with stopwatch() as watch, transaction.atomic():
            for _ in range(count):
                self.queue.enqueue(self.workflows.one_step, PAYLOAD)
        return watch.measured(count)

    def enqueue_bulk(self, count: int) -> Measured:
        with stopwatch() as watch:
            self.queue.enqueue_many(self.workflows.one_step, [PAYLOAD] * count)
        return watch.measured(count)

    def enqueue_narrow(self, count: int) -> Measured:
        narrow = self._narrow()
        with stopwatch() as watch:
            narrow.enqueue_many(self.workflows.one_step, [PAYLOAD] * count)
        return watch.measured(count)

    def drain_narrow(self, count: int) -> Measured:
        self._narrow()
        return self.drain(count)

    def _narrow(self) -> Any:
        """Declared by those alone who use it: a worker serves what is declared."""
        from durable_workflows import Queue

        return Queue("narrow", concurrency=1)

    def orm_create(self, count: int) -> Measured:
        with stopwatch() as watch:
            for _ in range(count):
                self.Note.objects.create(text=PAYLOAD["text"])
        return watch.measured(count)

    def drain(self, count: int) -> Measured:
        """The work of ``manage.py durable_worker --drain``; the time is that of the rows, first claim to last outcome."""
        from durable_workflows.worker import Options, Supervisor

        with stopwatch() as watch:
            Supervisor(Options()).drain()
        watch.seconds = self._drained(count)
        return watch.measured(count)

    def _drained(self, count: int) -> float:
        from django.db.models import Max, Min

        from durable_workflows.models import WorkflowRun

        runs = WorkflowRun.objects.filter(name__endswith="one_step").order_by("-created_at")
        newest = runs.filter(pk__in=runs.values("pk")[:count])
        unfinished = newest.exclude(status="SUCCESS").count()
        assert not unfinished, f"{unfinished} runs did not succeed"
        times = newest.aggregate(began=Min("claimed_at"), ended=Max("completed_at"))
        return float((times["ended"] - times["began"]).total_seconds())

    def serve(self) -> None:
        """Be the worker, until the process ends."""
        from durable_workflows.worker import Options, Supervisor

        self.supervisor = Supervisor(Options())
        self.supervisor.start()

    def latencies(self, count: int) -> Measured:
        return timed_answers(count, lambda: self.queue.enqueue(self.workflows.started_at, PAYLOAD).get_result())


CONTENDER = DurableWorkflows

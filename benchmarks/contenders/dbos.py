"""DBOS Transact for Python: the nearest peer, in its documented use."""

from __future__ import annotations

import platform
import time
from importlib.metadata import version
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, EnqueueOptions, SQLAlchemyDatasource
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from benchmarks.contenders.base import Contender
from benchmarks.idle import timed_answers
from benchmarks.payload import PAYLOAD
from benchmarks.protocol import Measured, stopwatch

QUEUE = "bench"
VERSION = "bench"
STATUS = {"postgresql": "dbos.workflow_status", "sqlite": "workflow_status"}
THREADS = 16  # as many as ours: its default, a thread for each run of the backlog, is slower


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "note"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


@DBOS.step()
def echo(payload: dict[str, Any]) -> dict[str, Any]:
    return payload


@DBOS.step()
def stamp(payload: dict[str, Any]) -> float:
    return time.monotonic()


@DBOS.workflow()
def many_steps(count: int) -> None:
    for _ in range(count):
        echo(PAYLOAD)


def write_row(payload: dict[str, Any]) -> dict[str, Any]:
    Rows.datasource.sql_session().add(Note(text=payload["text"]))
    return payload


class Rows:
    """Where steps write their rows."""

    datasource: Any = None


@DBOS.workflow()
def many_rows(count: int) -> None:
    for _ in range(count):
        Rows.datasource.run_tx_step({"name": "write_row"}, write_row, PAYLOAD)


@DBOS.workflow()
def one_step(payload: dict[str, Any]) -> dict[str, Any]:
    return echo(payload)


@DBOS.workflow()
def started_at(payload: dict[str, Any]) -> float:
    return stamp(payload)


class Dbos(Contender):
    """Defaults throughout, but for the number of threads."""

    semantics = {
        "steps": "a checkpoint committed for each step",
        "row_steps": "a SQLAlchemyDatasource transaction: ORM row and checkpoint in one, SERIALIZABLE by default",
        "calls": "status row, checkpoint, outcome",
        "enqueue": "one committed row for each",
        "enqueue_atomic": "DBOSClient.enqueue_in_transaction, all in one SQLAlchemy transaction",
        "drain": f"{THREADS} threads; each run is claimed, its step's checkpoint and its outcome stored",
        "latencies": "a worker in another process; queues and results are polled each second by default",
    }
    absent = {"enqueue_bulk": "its API has no bulk enqueue"}

    def versions(self) -> dict[str, str]:
        return {"dbos": version("dbos"), "SQLAlchemy": version("sqlalchemy"), "Python": platform.python_version()}

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._engine: Any = None

    @property
    def _sqlalchemy_url(self) -> str:
        return self.url.replace("postgresql://", "postgresql+psycopg://")

    def prepare(self) -> None:
        self._launch()
        DBOS.register_queue(QUEUE)
        Base.metadata.create_all(self._engine)

    def _launch(self, queues: tuple[str, ...] = ()) -> None:
        """Launch if it is not yet; without queues it calls and enqueues only."""
        if self._engine is not None:
            return
        DBOS(config={
            "name": "bench", "system_database_url": self.url, "application_version": VERSION, "log_level": "ERROR",
            "max_executor_threads": THREADS,
        })  # fmt: skip
        DBOS.listen_queues(queues)
        self._engine = sa.create_engine(self._sqlalchemy_url)
        DBOS.launch()

    def close(self) -> None:
        DBOS.destroy()

    def steps(self, count: int) -> Measured:
        self._launch()
        with stopwatch() as watch:
            many_steps(count)
        return watch.measured(count)

    def row_steps(self, count: int) -> Measured:
        Rows.datasource = Rows.datasource or SQLAlchemyDatasource.create(self._sqlalchemy_url)  # before the launch
        self._launch()
        with stopwatch() as watch:
            many_rows(count)
        return watch.measured(count)

    def calls(self, count: int) -> Measured:
        self._launch()
        with stopwatch() as watch:
            for _ in range(count):
                one_step(PAYLOAD)
        return watch.measured(count)

    def enqueue(self, count: int) -> Measured:
        self._launch()
        with stopwatch() as watch:
            for _ in range(count):
                DBOS.enqueue_workflow(QUEUE, one_step, PAYLOAD)
        return watch.measured(count)

    def enqueue_atomic(self, count: int) -> Measured:
        client = DBOSClient(system_database_url=self.url)
        options: EnqueueOptions = {"queue_name": QUEUE, "workflow_name": one_step.__qualname__, "app_version": VERSION}
        with stopwatch() as watch, client._sys_db.engine.begin() as connection:
            for _ in range(count):
                client.enqueue_in_transaction(connection, options, PAYLOAD)
        client.destroy()
        return watch.measured(count)

    def drain(self, count: int) -> Measured:
        """Work until the backlog is done; the time is that of the rows, first claim to last outcome."""
        with stopwatch() as watch:
            self._launch((QUEUE,))
            while self._unfinished():
                time.sleep(0.1)
        watch.seconds = self._drained(count)
        return watch.measured(count)

    def _unfinished(self) -> int:
        return int(self._ask("SELECT count(*) FROM {} WHERE status IN ('ENQUEUED', 'PENDING')")[0])

    def _drained(self, count: int) -> float:
        newest = f"SELECT * FROM {{}} WHERE queue_name = '{QUEUE}' ORDER BY created_at DESC LIMIT {count}"
        done, began, ended = self._ask(
            "SELECT sum(CASE status WHEN 'SUCCESS' THEN 1 ELSE 0 END), min(started_at_epoch_ms), max(completed_at)"
            f" FROM ({newest}) AS newest"
        )
        assert done == count, f"{done} of {count} succeeded"
        return float(ended - began) / 1000

    def _ask(self, sql: str) -> Any:
        with self._engine.connect() as connection:
            return connection.execute(sa.text(sql.format(STATUS[self._engine.dialect.name]))).one()

    def serve(self) -> None:
        """Be the worker, until the process ends."""
        self._launch((QUEUE,))

    def latencies(self, count: int) -> Measured:
        self._launch()
        return timed_answers(count, lambda: DBOS.enqueue_workflow(QUEUE, started_at, PAYLOAD).get_result())


CONTENDER = Dbos

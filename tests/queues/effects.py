"""What the bodies of steps have done, in a table beside those of the engine; each line is committed by itself."""

from __future__ import annotations

import os
from dataclasses import dataclass

from django.db import connection

from durable_workflows import current
from tests.queues import vendors

TABLE = "house_effects"


@dataclass(frozen=True)
class Effect:
    """One line; ``number`` grows in the order in which they were written."""

    number: int
    at: float
    run: str
    step: str
    phase: str
    pid: int


def create() -> None:
    vendors.create_table(TABLE, "run varchar(255)", "step varchar(255)", "phase varchar(10)", "pid integer")


def drop() -> None:
    vendors.drop_table(TABLE)


def note(phase: str) -> None:
    """A step's body begins or ends its work, in autocommit."""
    here = current()
    assert here is not None
    assert not connection.in_atomic_block
    with connection.cursor() as cursor:
        sql = f"INSERT INTO {TABLE} (happened, run, step, phase, pid) VALUES ({vendors.now()}, %s, %s, %s, %s)"
        cursor.execute(sql, [here.workflow_id, str(here.step_id), phase, os.getpid()])


def read() -> list[Effect]:
    return [Effect(*row) for row in vendors.rows(f"SELECT id, happened, run, step, phase, pid FROM {TABLE} ORDER BY id")]

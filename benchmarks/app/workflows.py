"""The measured workflows; each has its twin in ``benchmarks.contenders.dbos``."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.app.models import Note
from benchmarks.payload import PAYLOAD
from durable_workflows import step, workflow


@step
def echo(payload: dict[str, Any]) -> dict[str, Any]:
    return payload


@step
def write_row(payload: dict[str, Any]) -> dict[str, Any]:
    Note.objects.create(text=payload["text"])
    return payload


@step
def stamp(payload: dict[str, Any]) -> float:
    return time.monotonic()  # one clock for all processes of the machine


@workflow
def many_steps(count: int) -> None:
    for _ in range(count):
        echo(PAYLOAD)


@workflow
def many_rows(count: int) -> None:
    for _ in range(count):
        write_row(PAYLOAD)


@workflow
def one_step(payload: dict[str, Any]) -> dict[str, Any]:
    return echo(payload)


@workflow
def started_at(payload: dict[str, Any]) -> float:
    return stamp(payload)

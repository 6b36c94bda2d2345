"""Workflows that talk: in batches, by streams, and waiting for the first of several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import durable_workflows as durable
from durable_workflows import SendMessage, WorkflowHandle
from tests.app.models import Ledger

MISSING = object()
HELD: dict[str, Callable[[], None]] = {}  # what a step does in the middle, for tests in the same process


def held(name: str) -> None:
    HELD.get(name, lambda: None)()


@durable.workflow
def hears(number: int, topic: str | None = None) -> list[Any]:
    return [durable.recv(topic) for _ in range(number)]


@durable.workflow
def hears_or_misses(seconds: float) -> str:
    heard = durable.recv("topic", timeout_seconds=seconds, default=MISSING)
    published = durable.get_event(durable.current().workflow_id, "none", timeout_seconds=0, default=MISSING)
    durable.recv("go on")
    assert published is MISSING
    return "nothing came" if heard is MISSING else f"heard {heard}"


@durable.workflow
def sends_batch(batch: list[tuple[Any, ...]]) -> str:
    durable.send_many(batch)
    return "sent"


@durable.workflow
def sends_to_one(workflow_id: str, numbers: list[int]) -> str:
    durable.send_many([SendMessage(workflow_id, number) for number in numbers])
    durable.send_many([])
    return "sent"


@durable.step
def sending_batch(workflow_ids: list[str], fail: bool) -> None:
    durable.send_many([(workflow_id, f"to {workflow_id}") for workflow_id in workflow_ids])
    if fail:
        raise ValueError("after the batch")


@durable.workflow
def sends_batch_in_a_step(workflow_ids: list[str], fail: bool) -> None:
    sending_batch(workflow_ids, fail)


@durable.workflow
def publishes() -> None:
    durable.set_event("state", "begun")
    durable.set_event("count", 1)
    durable.recv("go on")
    durable.set_event("state", "done")


@durable.step
def publishing(key: str, fit: bool) -> None:
    Ledger.objects.create(run_id="", step="publishing")
    durable.set_event(key, 1 if fit else object())


@durable.workflow
def publishes_badly(key: str, fit: bool, in_a_step: bool) -> None:
    if in_a_step:
        publishing(key, fit)
    durable.set_event(key, 1 if fit else object())


@durable.workflow
def reads_all(workflow_id: str) -> Any:
    before = durable.get_all_events(workflow_id)
    durable.recv("go on")
    return before, durable.get_all_events(workflow_id)


# -- streams


@durable.workflow
def pours(values: list[Any], close: bool = True) -> str:
    for value in values:
        durable.write_stream("out", value)
    if close:
        durable.close_stream("out")
        durable.close_stream("out")
    return "poured"


@durable.workflow
def pours_slowly(number: int) -> None:
    for value in range(number):
        durable.recv("more")
        durable.write_stream("out", value)


@durable.step
def pouring(values: list[Any]) -> str:
    for value in values:
        durable.write_stream("out", value)
    Ledger.objects.create(run_id="", step="pouring")
    held("pouring")
    durable.close_stream("out")
    return "poured"


@durable.workflow
def pours_in_a_step(values: list[Any]) -> str:
    return pouring(values)


@durable.step
def pouring_held() -> str:
    durable.write_stream("out", "first")
    held("between")
    durable.write_stream("out", "second")
    return "poured"


@durable.workflow
def pours_held() -> str:
    return pouring_held()


@durable.workflow
def pours_unstorable() -> None:
    durable.write_stream("out", object())


@durable.step
def pouring_unstorable() -> None:
    durable.write_stream("out", object())


@durable.workflow
def pours_unstorable_in_a_step() -> None:
    pouring_unstorable()


@durable.step(atomic=False)
def pouring_loosely(values: list[Any]) -> None:
    for value in values:
        durable.write_stream("out", value)
    durable.close_stream("out")


@durable.workflow
def pours_in_a_loose_step(values: list[Any]) -> None:
    pouring_loosely(values)


@durable.step(max_attempts=3, interval_seconds=0.01)
def stuttering() -> str:
    attempt = durable.current().attempt
    for value in range(attempt):
        durable.write_stream("out", f"{attempt}.{value}")
    durable.close_stream("out")
    if attempt < 3:
        raise ConnectionError("again")
    return "poured"


@durable.workflow
def stutters() -> str:
    return stuttering()


@durable.step
def pouring_after_all_else(reader: str) -> None:
    """Locks its own run's row and its reader's in its transaction, then writes a value beside it."""
    durable.set_event("state", "pouring")
    durable.send(reader, "look", "news")
    held("before")
    durable.write_stream("out", "value")
    held("after")


@durable.workflow
def pours_after_all_else(reader: str) -> None:
    pouring_after_all_else(reader)


@durable.workflow
def drinks(workflow_id: str, offset: int = 0, seconds: float | None = None) -> list[Any]:
    return list(durable.read_stream(workflow_id, "out", offset, seconds))


@durable.workflow
def drinks_until_late(workflow_id: str, seconds: float) -> list[Any]:
    drunk: list[Any] = []
    try:
        drunk.extend(durable.read_stream(workflow_id, "out", timeout_seconds=seconds))
    except durable.StreamTimeout as late:
        durable.recv("go on")
        return [*drunk, "late", late.offset]
    return drunk


@durable.step
def sipping(workflow_id: str) -> list[Any]:
    return list(durable.read_stream(workflow_id, "out", timeout_seconds=0))


@durable.workflow
def sips(workflow_id: str) -> list[Any]:
    return sipping(workflow_id)


@durable.step
def waits_in_a_step(workflow_id: str) -> None:
    list(durable.read_stream(workflow_id, "out"))


@durable.workflow
def calls_waits_in_a_step(workflow_id: str) -> None:
    waits_in_a_step(workflow_id)


@durable.step
def next_of(values: Any) -> Any:
    return next(values)


@durable.workflow
def reads_elsewhere(workflow_id: str) -> Any:
    return next_of(durable.read_stream(workflow_id, "out"))


@durable.workflow
def writes_after_close() -> str:
    durable.close_stream("out")
    try:
        durable.write_stream("out", "late")
    except durable.InvalidUse as error:
        return str(error)
    return "written"


# -- the first of several


@durable.workflow
def chooses(
    topics: list[str | None], events: list[tuple[str, str]], runs: list[str], seconds: float | None = None, times: int = 1
) -> list[Any]:
    chosen = []
    for _ in range(times):
        handles = [WorkflowHandle[Any](run) for run in runs]
        came = durable.select(recv=topics, events=events, handles=handles, timeout_seconds=seconds)
        chosen.append(
            None if came is None else [came.kind, came.key, came.value.workflow_id if came.kind == "handle" else came.value]
        )
    return chosen


@durable.workflow
def chooses_one(topic: str | None) -> Any:
    came = durable.select(recv=topic, timeout_seconds=0)
    return came.value if came else "nothing"


@durable.step
def choosing() -> None:
    durable.select(events=[("nobody", "key")], timeout_seconds=0)


@durable.workflow
def chooses_in_a_step() -> None:
    choosing()


@durable.workflow
def returns(value: Any) -> Any:
    return value


@durable.workflow
def raises() -> None:
    raise LookupError("not here")

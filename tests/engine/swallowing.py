"""
Code that a suspension meets on its way out of a body, and tries to keep it.

``WAITS`` are the ways to wait, each with what brings the answer about; ``SWALLOWERS`` call what waits and do something
about whatever comes out of it. Of a call that returns, each returns the same.
"""

# ruff: noqa: B012, BLE001, RET504 - what nobody should write is what this is about

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from typing import Any

from durable_workflows import (
    WorkflowHandle,
    clock,
    current,
    get_event,
    get_result,
    recv,
    send,
    set_event,
    sleep,
    sleep_until,
    step,
    wait_first,
    workflow,
)
from durable_workflows.models import WorkflowRun
from durable_workflows.testing import travel

SWALLOWED = "swallowed"
FAR = datetime(2100, 1, 1, tzinfo=UTC)
Call = Callable[[], Any]
Body = Callable[[str], Any]


# -- ways to wait


@workflow
def helper() -> Any:
    """Waits to be told, publishes and returns it: the run whose event or result is awaited."""
    news = recv("news")
    set_event("news", news)
    return news


@step(max_attempts=2, interval_seconds=3600)
def works_the_second_time() -> str:
    now = current()
    assert now is not None
    if now.attempt == 1:
        raise LookupError("the first attempt fails")
    return "the second attempt"


@workflow
def waits_inside() -> Any:
    try:
        return recv("news")
    except BaseException:
        return SWALLOWED


@dataclass(frozen=True)
class Waiting:
    """
    A way to wait.

    :param wait: called in the body with the id of the helper.
    :param come: brings the answer about, given the ids of the waiting runs and of the helper.
    :param value: the answer.
    :param kind: of the row that says what is waited for.
    :param recorded: what is recorded before it waits.
    """

    wait: Body
    come: Callable[[list[str], str], object]
    value: Any
    kind: str
    recorded: tuple[str, ...] = ()


def pass_by(waiting: list[str], other: str) -> None:
    travel(hours=1)


def reach(waiting: list[str], other: str) -> None:
    travel(FAR - clock.now())


def tell(waiting: list[str], other: str) -> None:
    for run_id in waiting:
        send(run_id, "news", "news")


def tell_children(waiting: list[str], other: str) -> None:
    tell(list(WorkflowRun.objects.filter(parent_id__in=waiting).values_list("pk", flat=True)), other)


def tell_other(waiting: list[str], other: str) -> None:
    send(other, "news", "news")


def first_of(other: str) -> str:
    return "news" if wait_first([WorkflowHandle[Any](other)]).workflow_id == other else "another's"


WAITS = {
    "sleep": Waiting(lambda other: sleep(3600), pass_by, None, "sleep"),
    "sleep until": Waiting(lambda other: sleep_until(FAR), reach, None, "sleep"),
    "recv": Waiting(lambda other: recv("news"), tell, "news", "recv"),
    "recv in time": Waiting(lambda other: recv("news", timeout_seconds=3600, default="late"), pass_by, "late", "recv"),
    "event": Waiting(lambda other: get_event(other, "news", timeout_seconds=None), tell_other, "news", "get_event"),
    "result": Waiting(get_result, tell_other, "news", "result"),
    "first": Waiting(first_of, tell_other, "news", "first"),
    "retry": Waiting(lambda other: works_the_second_time(), pass_by, "the second attempt", "retry"),
    "child": Waiting(lambda other: waits_inside(), tell_children, "news", "result", (waits_inside.durable.name,)),
}


# -- ways to keep it

SWALLOWERS: dict[str, Callable[[Call], Any]] = {}


def swallower(func: Callable[[Call], Any]) -> Callable[[Call], Any]:
    SWALLOWERS[func.__name__.replace("_", " ")] = func
    return func


@swallower
def returns_in_finally(call: Call) -> Any:
    value = SWALLOWED
    try:
        value = call()
    finally:
        return value


@swallower
def passes(call: Call) -> Any:
    value = SWALLOWED
    try:
        value = call()
    except BaseException:
        pass
    return value


@swallower
def returns_in_except(call: Call) -> Any:
    try:
        return call()
    except BaseException:
        return SWALLOWED


@swallower
def leaves_a_loop(call: Call) -> Any:
    value = SWALLOWED
    while True:
        try:
            value = call()
        finally:
            break
    return value


@swallower
def tries_again(call: Call) -> Any:
    for _ in range(5):
        try:
            return call()
        except BaseException:
            continue
    return SWALLOWED


@swallower
def raises_another(call: Call) -> Any:
    try:
        return call()
    except BaseException as error:
        raise LookupError("another") from error


@swallower
def exits(call: Call) -> Any:
    try:
        return call()
    except BaseException:
        raise SystemExit(3) from None


@swallower
def interrupts(call: Call) -> Any:
    try:
        return call()
    except BaseException:
        raise KeyboardInterrupt from None


@swallower
def raises_a_group(call: Call) -> Any:
    try:
        return call()
    except BaseException as error:
        raise BaseExceptionGroup("several", [error, LookupError("another")]) from None


@swallower
def catches_a_group(call: Call) -> Any:
    value = SWALLOWED
    try:
        try:
            value = call()
        except BaseException as error:
            raise BaseExceptionGroup("several", [error]) from None
    except* BaseException:
        pass
    return value


@swallower
def catches_what_was_made_of_it(call: Call) -> Any:
    try:
        try:
            try:
                return call()
            except BaseException as error:
                raise RuntimeError("one") from error
        except RuntimeError as error:
            raise RuntimeError("two") from error
    except BaseException:
        return SWALLOWED


@swallower
def suppresses(call: Call) -> Any:
    value = SWALLOWED
    with suppress(BaseException):
        value = call()
    return value


class Swallows:
    """A context manager that lets nothing out."""

    def __enter__(self) -> None: ...

    def __exit__(self, *raised: object) -> bool:
        return True


@swallower
def uses_a_context_manager(call: Call) -> Any:
    value = SWALLOWED
    with Swallows():
        value = call()
    return value


@contextmanager
def swallowing() -> Iterator[None]:
    try:
        yield
    except BaseException:
        pass


@swallower
def uses_a_context_manager_made_of_a_generator(call: Call) -> Any:
    value = SWALLOWED
    with swallowing():
        value = call()
    return value


@swallower
def uses_an_exit_stack(call: Call) -> Any:
    value = SWALLOWED
    with ExitStack() as stack:
        stack.push(lambda *raised: True)
        value = call()
    return value


def never_fails(func: Call) -> Call:
    @wraps(func)
    def wrapped() -> Any:
        try:
            return func()
        except BaseException:
            return SWALLOWED

    return wrapped


@swallower
def is_decorated(call: Call) -> Any:
    return never_fails(call)()


@swallower
def waits_in_a_generator(call: Call) -> Any:
    def values() -> Iterator[Any]:
        value = SWALLOWED
        try:
            value = call()
        except BaseException:
            pass
        yield value

    return next(values())


@swallower
def waits_while_a_generator_is_open(call: Call) -> Any:
    def once() -> Iterator[None]:
        try:
            yield
        except BaseException:  # GeneratorExit, when it is closed
            return

    value = SWALLOWED
    opened = once()
    try:
        for _ in opened:
            value = call()
    finally:
        opened.close()
        return value


@swallower
def throws_it_into_a_generator(call: Call) -> Any:
    def receiver() -> Iterator[Any]:
        while True:
            try:
                yield SWALLOWED
            except GeneratorExit:
                return
            except BaseException:
                continue

    opened = receiver()
    next(opened)
    try:
        return call()
    except BaseException as error:
        return opened.throw(error)


class Keeps:
    """An object that catches it, and keeps it."""

    caught: BaseException | None = None

    def call(self, call: Call) -> Any:
        try:
            return call()
        except BaseException as error:
            self.caught = error
        return SWALLOWED


@swallower
def keeps_it(call: Call) -> Any:
    return Keeps().call(call)

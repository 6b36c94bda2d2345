"""``@workflow``, ``@step``, ``@transaction`` and ``@scheduled``: a function becomes a registered definition."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any, Literal, ParamSpec, Protocol, TypeVar, cast, overload

from django.db import DEFAULT_DB_ALIAS

from durable_workflows import conf, context, options, registry, runtime
from durable_workflows.definitions import Scheduled, Step, Workflow
from durable_workflows.exceptions import InvalidUse
from durable_workflows.handles import WorkflowHandle
from durable_workflows.queues import valid_name
from durable_workflows.recurrence import CATCH_UP, OVERLAP
from durable_workflows.retries import RetryPolicy
from durable_workflows.schedules import CronSchedule
from durable_workflows.texts import valid_text

P = ParamSpec("P")
R = TypeVar("R")


class DurableFunction(Protocol[P, R]):
    """A decorated function: called as before, and ``start``ed as a run of its own."""

    durable: Any
    __name__: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...

    def start(self, *args: P.args, **kwargs: P.kwargs) -> WorkflowHandle[R]: ...


@overload
def workflow(func: Callable[P, R], /) -> DurableFunction[P, R]: ...
@overload
def workflow(
    *,
    name: str | None = ...,
    queue: str = ...,
    timeout: float | None = ...,
    version: str | None = ...,
    validate_args: bool = ...,
    max_recovery_attempts: int | None = ...,
    max_attempts: int = ...,
    interval_seconds: float = ...,
    backoff_rate: float = ...,
) -> Callable[[Callable[P, R]], DurableFunction[P, R]]: ...
def workflow(  # noqa: PLR0913  # the public door's parameters
    func: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    queue: str = "default",
    timeout: float | None = None,
    version: str | None = None,
    validate_args: bool = False,
    max_recovery_attempts: int | None = 100,
    max_attempts: int = 1,
    interval_seconds: float = 1.0,
    backoff_rate: float = 2.0,
) -> Any:
    """
    Make a function a durable workflow: its steps are recorded, and a run goes on where it stopped.

    :param name: what rows call it; default: the module-qualified name. Keep it when you move or rename the function.
    :param queue: where ``start`` puts its runs.
    :param timeout: seconds after which a run is cancelled, from its start, or from its claim when queued.
    :param version: only workers of this ``APP_VERSION`` run it; default: the setting of the starting process.
    :param max_recovery_attempts: recoveries without progress after which a run is given up; None: never.
    :raises InvalidUse: for an ``async def``, a generator, a number out of range, and for ``validate_args`` and
        ``max_attempts`` above 1, which this version cannot keep and so refuses.
    :raises RegistrationConflict: if the name stands for another function.
    """
    refuse("@workflow", validate_args=(validate_args, False), max_attempts=(max_attempts, 1),
           interval_seconds=(interval_seconds, 1.0), backoff_rate=(backoff_rate, 2.0))  # fmt: skip
    if max_recovery_attempts is not None and (type(max_recovery_attempts) is not int or max_recovery_attempts < 0):
        raise InvalidUse(
            f"max_recovery_attempts is a whole number that is not negative, or None, not {max_recovery_attempts!r}."
        )
    if version is not None:
        valid_text(version, "A version", options.VERSION_MAX_LENGTH)

    def decorate(func: Callable[..., Any]) -> Any:
        return _declare(func, lambda plain: Workflow(
            name=_name(name, plain), func=plain, queue=valid_name(queue), timeout=options.valid_timeout(timeout),
            version=version, max_recovery_attempts=max_recovery_attempts,
        ))  # fmt: skip

    return decorate if func is None else decorate(func)


@overload
def step(func: Callable[P, R], /) -> DurableFunction[P, R]: ...
@overload
def step(
    *,
    name: str | None = ...,
    atomic: bool = ...,
    using: str | None = ...,
    retries_allowed: bool | None = ...,
    max_attempts: int | None = ...,
    interval_seconds: float = ...,
    backoff_rate: float = ...,
    max_interval_seconds: float = ...,
    should_retry: Callable[[BaseException], bool] | None = ...,
    timeout: float | None = ...,
) -> Callable[[Callable[P, R]], DurableFunction[P, R]]: ...
def step(  # noqa: PLR0913  # the public door's parameters
    func: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    atomic: bool = True,
    using: str | None = None,
    retries_allowed: bool | None = None,
    max_attempts: int | None = None,
    interval_seconds: float = 1.0,
    backoff_rate: float = 2.0,
    max_interval_seconds: float = 3600.0,
    should_retry: Callable[[BaseException], bool] | None = None,
    timeout: float | None = None,
) -> Any:
    """
    Make a function a step: in a workflow its result is recorded once, in one transaction with its own ORM writes.

    :param name: what rows call it; default: the module-qualified name.
    :param atomic: False for a body that manages its own transactions; its writes are then at least once.
    :param using: the alias of the runs, ``"default"`` without a router, on which the step's transaction is in any case.
    :param retries_allowed: True alone means 3 attempts; False means one, whatever ``max_attempts`` says.
    :param max_attempts: attempts in all, the first included.
    :param interval_seconds: pause after the first failure, growing by ``backoff_rate`` up to ``max_interval_seconds``.
    :param should_retry: called with the exception; false re-raises it at once.
    :param timeout: seconds that one attempt may take. A plain function cannot be interrupted: a late result is discarded
        and its writes are rolled back.
    :raises InvalidUse: for an ``async def``, a number out of range, or another ``using``.
    :raises RegistrationConflict: if the name stands for another function.
    """
    refuse("@step", using=(None if using == DEFAULT_DB_ALIAS and not conf.has_routers() else using, None))
    retry = RetryPolicy(
        max_attempts=_attempts(retries_allowed, max_attempts), interval_seconds=interval_seconds,
        backoff_rate=backoff_rate, max_interval_seconds=max_interval_seconds, should_retry=should_retry,
    )  # fmt: skip

    def decorate(func: Callable[..., Any]) -> Any:
        return _declare(func, lambda plain: Step(
            name=_name(name, plain), func=plain, atomic=atomic, retry=retry, timeout=options.valid_timeout(timeout)
        ))  # fmt: skip

    return decorate if func is None else decorate(func)


def transaction(func: Callable[P, R] | None = None, /, **parameters: Any) -> Any:
    """
    ``step(atomic=True)`` under the field's name: the body's writes and its record commit together.

    Takes the parameters of ``step`` except ``atomic``; raises what ``step`` raises.
    """
    if "atomic" in parameters:
        raise InvalidUse("@transaction is always atomic. Use @step(atomic=False) for a body that manages its own.")
    return step(**parameters) if func is None else step(func)


def scheduled(
    cron: str,
    /,
    *,
    timezone: str | None = None,
    catch_up: Literal["skip", "last", "all"] = "skip",
    overlap: Literal["allow", "skip"] = "allow",
    queue: str | None = None,
) -> Callable[[DurableFunction[P, R]], DurableFunction[P, R]]:
    """
    Start the workflow at each tick of a cron schedule, once per tick across all workers.

    The workflow is called with ``(scheduled_time, actual_time)``, both aware. It may have several schedules, one decorator
    each: the one next to the workflow is named like it, the others ``name#2``, ``name#3`` upwards. One whose decorator is
    removed fires no more once the last worker with the old code has stopped.

    :param cron: five fields, or six with seconds first.
    :param timezone: the zone in which the fields are read; default: UTC.
    :param catch_up: what becomes of ticks missed while no worker ran: none, the last, or all of them are started.
    :param overlap: "skip" passes a tick over, and counts it, while an earlier run of this schedule is unfinished.
    :param queue: where the runs are put; default: the workflow's queue.
    :raises InvalidUse: for an invalid expression, zone or option, when what it decorates is not a workflow, and when that
        has the same ticks already with other options.
    """
    for name, value, allowed in (("catch_up", catch_up, CATCH_UP), ("overlap", overlap, OVERLAP)):
        if value not in allowed:
            raise InvalidUse(f"{name} is {' or '.join(map(repr, allowed))}, not {value!r:.80}.")
    schedule = CronSchedule(cron, timezone or "UTC")

    def decorate(func: DurableFunction[P, R]) -> DurableFunction[P, R]:
        definition = getattr(func, "durable", None)
        if not isinstance(definition, Workflow):
            raise InvalidUse("@scheduled starts a workflow: put it above @workflow, as the outermost decorator.")
        registry.register_schedule(Scheduled(
            name=definition.name, workflow=definition, cron=schedule, catch_up=catch_up, overlap=overlap,
            queue=valid_name(queue) if queue is not None else None,
        ))  # fmt: skip
        return func

    return decorate


def qualified(func: Callable[..., Any]) -> str:
    """The default name of a function in rows."""
    return f"{func.__module__}.{func.__qualname__}"


def _name(given: str | None, func: Callable[..., Any]) -> str:
    return valid_text(given or qualified(func), "The name of a workflow or step")


def refuse(where: str, **parameters: tuple[Any, Any]) -> None:
    """Raise ``InvalidUse`` for parameters that this version cannot keep: a promise must not be ignored."""
    asked = [name for name, (given, neutral) in parameters.items() if given != neutral]
    if asked:
        raise InvalidUse(f"{where}: {', '.join(asked)} cannot be kept by this version, so it is refused. Leave it out.")


def _attempts(retries_allowed: bool | None, max_attempts: int | None) -> int:
    if retries_allowed is False:
        return 1
    if max_attempts is None:
        return 3 if retries_allowed else 1
    return max_attempts


def _declare(func: Any, define: Callable[[Callable[..., Any]], Workflow | Step]) -> Any:
    if isinstance(func, (staticmethod, classmethod)):
        return type(func)(_declare(func.__func__, define))
    if not callable(func) or not hasattr(func, "__qualname__"):
        raise InvalidUse(f"Only functions and methods can be decorated, not {func!r}.")
    definition = define(func)
    registry.register(definition)
    return _step_function(definition) if isinstance(definition, Step) else _workflow_function(definition)


def _step_function(definition: Step) -> Any:
    func = definition.func

    @wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        caller = context.caller()
        # A step outside a workflow is just the function, and needs no database.
        return func(*args, **kwargs) if caller is None else caller.call_step(definition, args, kwargs)

    return _with_start(call, definition)


def _workflow_function(definition: Workflow) -> Any:
    @wraps(definition.func)
    def call(*args: Any, **kwargs: Any) -> Any:
        return runtime.here().call_workflow(definition, args, kwargs)

    return _with_start(call, definition)


def _with_start(call: Callable[..., Any], definition: Workflow | Step) -> Any:
    function = cast(Any, call)
    function.durable = definition
    function.start = partial(_start, definition)
    return function


def _start(definition: Workflow | Step, /, *args: Any, **kwargs: Any) -> WorkflowHandle[Any]:
    return WorkflowHandle(runtime.here().start(definition, (args, kwargs), options.taken()))

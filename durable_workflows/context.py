"""
Who is calling: the ContextVar that makes ``sleep()`` find the execution it belongs to.

``Caller`` is the port between the primitives, which know no database, and the three places they can be called from:
outside of any workflow (``engine.client``), in a workflow's body (``engine.execution``) and in a step's body
(``engine.instep``).
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from durable_workflows.debouncing import Debounce
    from durable_workflows.definitions import Step, Workflow
    from durable_workflows.options import StartOptions
    from durable_workflows.talk import Alternatives, Selected, SendMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """What ``current()`` tells of the running workflow, and of the step when called inside one."""

    workflow_id: str
    step_id: int | None
    attempt: int
    max_attempts: int
    idempotency_key: str
    deadline: datetime | None
    queue: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    user: str | None = None
    parent_id: str | None = None

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger whose records carry the run's id."""
        logger = logging.getLogger("durable_workflows.run")
        return logging.LoggerAdapter(logger, {"workflow_id": self.workflow_id, "step_id": self.step_id})


class Caller(ABC):
    """The verbs of the public door, as one place of call carries them out."""

    @abstractmethod
    def current(self) -> Current | None: ...

    @abstractmethod
    def call_workflow(self, workflow: Workflow, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any: ...

    @abstractmethod
    def call_step(self, step: Step, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any: ...

    @abstractmethod
    def start(self, target: Workflow | Step | str, call: tuple[Sequence[Any], Mapping[str, Any]], options: StartOptions) -> str:
        """Insert a run and return its id."""

    @abstractmethod
    def start_many(self, target: Workflow | Step | str, calls: Sequence[Any], options: StartOptions) -> list[str]:
        """Insert several runs at once and return their ids."""

    @abstractmethod
    def debounce(self, target: Workflow | Step | str, call: Any, options: StartOptions, wish: Debounce) -> str:
        """Put a run off, or insert it, and return its id."""

    @abstractmethod
    def result(self, workflow_id: str, timeout: float | None) -> Any: ...

    @abstractmethod
    def wait_first(self, workflow_ids: Sequence[str], timeout: float | None) -> str: ...

    @abstractmethod
    def send(self, workflow_id: str, message: Any, topic: str | None, key: str | None) -> None: ...

    @abstractmethod
    def recv(self, topic: str | None, timeout: float | None, default: Any) -> Any: ...

    @abstractmethod
    def set_event(self, key: str, value: Any) -> None: ...

    @abstractmethod
    def get_event(self, workflow_id: str, key: str, timeout: float | None, default: Any) -> Any: ...

    @abstractmethod
    def send_many(self, messages: Sequence[SendMessage]) -> None: ...

    @abstractmethod
    def get_all_events(self, workflow_id: str) -> dict[str, Any]: ...

    @abstractmethod
    def write_stream(self, key: str, value: Any) -> None: ...

    @abstractmethod
    def close_stream(self, key: str) -> None: ...

    @abstractmethod
    def read_stream(self, workflow_id: str, key: str, offset: int, timeout: float | None) -> Iterator[Any]: ...

    @abstractmethod
    def select(self, wanted: Alternatives, timeout: float | None) -> Selected | None: ...

    @abstractmethod
    def sleep(self, seconds: float) -> None: ...

    @abstractmethod
    def sleep_until(self, moment: datetime) -> None: ...

    @abstractmethod
    def saga(self) -> Any:
        """A context manager whose undo steps run when its block fails or is cancelled."""

    @abstractmethod
    def continue_as_new(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NoReturn:
        """End this execution, and begin anew under the same id."""

    @abstractmethod
    def each(self, rows: Iterable[Any], batch: int) -> Iterable[Any]:
        """Go through many rows, each batch in a transaction with its record."""

    @abstractmethod
    def manage(self, verb: str, workflow_ids: Sequence[str], options: Mapping[str, Any]) -> Any:
        """Carry out an operator's verb ("cancel", "resume"), recorded when called in a workflow."""

    @abstractmethod
    def keep(self, verb: str, arguments: Mapping[str, Any]) -> Any:
        """Look at the records of runs, or do something with them ("list", "pause", "delete" ...), recorded in a workflow."""

    @abstractmethod
    def schedule(self, verb: str, arguments: Mapping[str, Any]) -> Any:
        """Do something with schedules ("create", "apply", ...), recorded when called in a workflow."""


_caller: ContextVar[Caller | None] = ContextVar("durable_workflows_caller", default=None)


def caller() -> Caller | None:
    """The execution or step whose body is calling; None outside of any workflow."""
    return _caller.get()


class calling:  # noqa: N801  # reads as a verb: with calling(execution)
    """Make ``caller`` the one that durable calls in this ``with`` block find."""

    __slots__ = ("_caller", "_token")

    def __init__(self, caller: Caller | None) -> None:
        self._caller = caller

    def __enter__(self) -> None:
        self._token: Token[Caller | None] = _caller.set(self._caller)

    def __exit__(self, *raised: object) -> None:
        _caller.reset(self._token)

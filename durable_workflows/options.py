"""How a run is to be started: a value, and the ``with`` blocks that set it for the calls inside."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Final, Literal

from durable_workflows.exceptions import InvalidUse
from durable_workflows.texts import valid_json, valid_text

ID_MAX_LENGTH = 255
TOO_LONG = 10**10  # seconds, some three hundred years: what is no wait, but a mistake or somebody's "for ever"


Policy = Literal["reject", "return-existing"]
MOST_PRIORITY = 2**31 - 1
VERSION_MAX_LENGTH = 128


class _Inherit:
    def __repr__(self) -> str:
        return "INHERIT"


INHERIT: Final = _Inherit()  # no timeout named: the definition's, or the parent's deadline, holds


@dataclass(frozen=True, slots=True, kw_only=True)
class StartOptions:
    """
    What a start was asked for beyond its arguments.

    :param timeout: seconds from start (or from claim, when queued) until the run is cancelled; None detaches it from
        its parent's deadline.
    """

    workflow_id: str | None = None
    queue: str | None = None
    timeout: float | _Inherit | None = INHERIT
    attributes: Mapping[str, Any] = field(default_factory=dict)
    user: str | None = None
    # What ``SetEnqueueOptions`` says; all but the version need a queue.
    priority: int | None = None
    deduplication_id: str | None = None
    duplication_policy: Policy = "reject"
    delay: float | None = None
    partition_key: str | None = None
    app_version: str | None = None


class _IdBox:
    """An id for the first start in a block, and for no other."""

    def __init__(self, workflow_id: str) -> None:
        self.left: str | None = workflow_id

    def take(self) -> str | None:
        taken, self.left = self.left, None
        return taken


_box: ContextVar[_IdBox | None] = ContextVar("durable_workflows_id", default=None)
_NONE = StartOptions()
_ambient: ContextVar[StartOptions] = ContextVar("durable_workflows_options", default=_NONE)


def taken(queue: str | None = None) -> StartOptions:
    """
    The options in force for a start made here and now; uses up a ``SetWorkflowID``.

    :raises InvalidUse: if an option needs a queue and there is none.
    """
    box, ambient = _box.get(), _ambient.get()
    if queue is None and ambient is not _NONE:
        _refuse_without_queue(ambient)
    if box is None and queue is None:
        return ambient
    return replace(ambient, workflow_id=box.take() if box else None, queue=queue)


def taken_id() -> str | None:
    """The id that ``SetWorkflowID`` gives to the run that is made here and now; uses it up."""
    box = _box.get()
    return box.take() if box else None


def _refuse_without_queue(ambient: StartOptions) -> None:
    asked = [shown for name, shown in _OF_QUEUES.items() if getattr(ambient, name) is not None]
    if asked:
        raise InvalidUse(
            f"{', '.join(asked)}: only a queue can keep to it, and this start names none. Use queue.enqueue(...), or leave it"
            " out."
        )


_OF_QUEUES = {
    "priority": "priority", "deduplication_id": "deduplication_id", "delay": "delay", "partition_key": "queue_partition_key",
}  # fmt: skip


def call_of(arguments: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """One item of ``start_many``: a tuple is all positional arguments, anything else is the only one."""
    return (arguments if isinstance(arguments, tuple) else (arguments,)), {}


def valid_id(workflow_id: str) -> str:
    """
    ``workflow_id`` itself, when it can be one.

    :raises InvalidUse: if it is empty, blank, too long, or holds what no database can store.
    """
    if not valid_text(workflow_id, "A workflow id", ID_MAX_LENGTH).strip():
        raise InvalidUse("A workflow id must not be empty or blank.")
    return workflow_id


class _Block:
    """A ``with`` block that sets a context variable; usable once at a time."""

    _token: Token[Any] | None = None

    def __enter__(self) -> None:
        self._token = self._enter()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._token is not None:
            self._token.var.reset(self._token)
            self._token = None

    def _enter(self) -> Token[Any]:
        raise TypeError("A block says what it sets.")


class SetWorkflowID(_Block):
    """
    Give the first workflow started or called inside the block this id.

    :param workflow_id: 1 to 255 characters; case and spaces count.
    :raises InvalidUse: if the id is empty, blank or too long.
    """

    def __init__(self, workflow_id: str) -> None:
        self.workflow_id = valid_id(workflow_id)

    def _enter(self) -> Token[Any]:
        return _box.set(_IdBox(self.workflow_id))


class SetWorkflowTimeout(_Block):
    """
    Cancel the workflows started inside the block when they take longer.

    :param seconds: from the start, or from the claim when queued; None detaches a child from its parent's deadline.
    :raises InvalidUse: if not positive.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = valid_timeout(seconds)

    def _enter(self) -> Token[Any]:
        return _ambient.set(replace(_ambient.get(), timeout=self.seconds))


def valid_timeout(seconds: float | None) -> float | None:
    """``seconds`` itself, when it can be a timeout; None means none. Raises ``InvalidUse``."""
    if seconds is not None and (
        isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds < TOO_LONG
    ):
        raise InvalidUse(f"A timeout is a positive number of seconds, under {TOO_LONG:,}, or None, not {shown(seconds)}.")
    return seconds


def valid_seconds(seconds: Any, what: str) -> float:
    """``seconds`` itself, when it can be a span of time, 0 included. Raises ``InvalidUse``."""
    if type(seconds) not in (int, float) or not 0 <= seconds < TOO_LONG:
        raise InvalidUse(f"{what} is a number of seconds from 0 to under {TOO_LONG:,}, not {shown(seconds)}.")
    return float(seconds)


def shown(value: object) -> str:
    """What was given instead, for a message; Python refuses to write out an int of more than 4300 digits."""
    return "a longer one" if isinstance(value, int) and value >= TOO_LONG else f"{value!r}"


class SetWorkflowAttributes(_Block):
    """
    Attach these attributes to the workflows started inside the block, for searching; not inherited by children.

    :param attributes: a dict of JSON values with str keys; nested blocks add to outer ones.
    :raises InvalidUse: if it is no dict with str keys.
    :raises NotSerializable: if a value is not strictly JSON; NaN is not.
    """

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        if not isinstance(attributes, Mapping) or not all(isinstance(key, str) for key in attributes):
            raise InvalidUse("Workflow attributes are a dict with str keys.")
        self.attributes = valid_json(dict(attributes), "Workflow attributes")

    def _enter(self) -> Token[Any]:
        ambient = _ambient.get()
        return _ambient.set(replace(ambient, attributes={**ambient.attributes, **self.attributes}))


class SetWorkflowUser(_Block):
    """
    Note on whose behalf the workflows started inside the block run.

    :param user: a username, or any object whose ``get_username()`` gives it, such as ``request.user``; None for nobody.
    :raises InvalidUse: if the name has more than 255 characters, or holds what no database can store.
    """

    def __init__(self, user: Any) -> None:
        name = user.get_username() if hasattr(user, "get_username") else user
        self.user = None if name is None else valid_text(str(name), "The name of a user")

    def _enter(self) -> Token[Any]:
        return _ambient.set(replace(_ambient.get(), user=self.user))


class SetEnqueueOptions(_Block):
    """
    How the runs enqueued inside the block queue; not inherited by children. Nested blocks add to outer ones.

    :param priority: at least 1, lower goes first; runs without one go first of all.
    :param deduplication_id: at most one unfinished run of the queue has it.
    :param duplication_policy: what a second one meets: "reject" raises ``Deduplicated``, "return-existing" gives the handle of
        the run that has the id, and drops the new arguments.
    :param delay: seconds before which the run is not started.
    :param queue_partition_key: the partition of a queue that has partitions.
    :param app_version: only workers of this ``APP_VERSION`` run it.
    :raises InvalidUse: for a value out of range.
    """

    def __init__(  # the public door's parameters
        self,
        *,
        priority: int | None = None,
        deduplication_id: str | None = None,
        duplication_policy: Policy | None = None,
        delay: float | None = None,
        queue_partition_key: str | None = None,
        app_version: str | None = None,
    ) -> None:
        if priority is not None and (type(priority) is not int or not 1 <= priority <= MOST_PRIORITY):
            raise InvalidUse(f"A priority is a whole number from 1 to {MOST_PRIORITY}, not {priority!r}.")
        if duplication_policy not in (None, "reject", "return-existing"):
            raise InvalidUse(f"duplication_policy is 'reject' or 'return-existing', not {duplication_policy!r}.")
        given = {
            "priority": priority,
            "deduplication_id": _text(deduplication_id, "A deduplication id", ID_MAX_LENGTH),
            "duplication_policy": duplication_policy,
            "delay": None if delay is None else valid_seconds(delay, "A delay"),
            "partition_key": _text(queue_partition_key, "A partition key", ID_MAX_LENGTH),
            "app_version": _text(app_version, "A version", VERSION_MAX_LENGTH),
        }
        self.given: Any = {name: value for name, value in given.items() if value is not None}

    def _enter(self) -> Token[Any]:
        return _ambient.set(replace(_ambient.get(), **self.given))


def _text(value: str | None, what: str, longest: int) -> str | None:
    if value is not None and not valid_text(value, what, longest).strip():
        raise InvalidUse(f"{what} must not be empty or blank.")
    return value


class none_set:  # noqa: N801  # reads as a phrase: with none_set()
    """A workflow's body begins with none of its starter's blocks in force."""

    __slots__ = ("_ambient", "_box")

    def __enter__(self) -> None:
        self._box: Token[_IdBox | None] = _box.set(None)
        self._ambient: Token[StartOptions] = _ambient.set(_NONE)

    def __exit__(self, *raised: object) -> None:
        _box.reset(self._box)
        _ambient.reset(self._ambient)

"""What the primitives of communication take and give, as frozen values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from durable_workflows.exceptions import InvalidUse
from durable_workflows.options import valid_id
from durable_workflows.texts import valid_text

Topics = str | None | Sequence[str | None]


@dataclass(frozen=True, slots=True)
class SendMessage:
    """
    One message of ``send_many``.

    :param workflow_id: the run to receive it.
    :param message: any value that can be stored.
    :param topic: which ``recv`` gets it; None is a topic of its own.
    :param idempotency_key: a second one to the run with the same key is not sent.
    :raises InvalidUse: if the id, the topic or the key is no text of at most 255 characters.
    """

    workflow_id: str
    message: Any
    topic: str | None = None
    idempotency_key: str | None = None

    def __post_init__(self) -> None:
        valid_id(self.workflow_id)
        for what, text in (("A topic", self.topic), ("An idempotency key", self.idempotency_key)):
            if text is not None:
                valid_text(text, what)


def as_messages(given: Sequence[SendMessage | tuple[Any, ...]]) -> list[SendMessage]:
    """
    The messages of a batch, each given as one or as a tuple of its fields.

    :raises InvalidUse: if one is neither, or a key occurs twice.
    """
    messages = [each if isinstance(each, SendMessage) else _from_tuple(each) for each in given]
    keys = [each.idempotency_key for each in messages if each.idempotency_key is not None]
    if twice := next((key for key in keys if keys.count(key) > 1), None) if len(set(keys)) < len(keys) else None:
        raise InvalidUse(f"The idempotency key {twice!r} occurs twice in one batch. Give each message a key of its own.")
    return messages


def _from_tuple(given: Any) -> SendMessage:
    if not isinstance(given, tuple) or not 2 <= len(given) <= 4:
        raise InvalidUse(
            "send_many() takes SendMessage values, or tuples (workflow_id, message), which may go on with a topic and an"
            f" idempotency key; not {given!r:.80}."
        )
    return SendMessage(*given)


@dataclass(frozen=True, slots=True)
class Selected:
    """
    What came first of all that ``select`` waited for.

    :param kind: "message", "event" or "handle".
    :param key: the message's topic (None: the default one), the event's ``(workflow_id, key)``, or the id of the run that
        ended.
    :param value: the message, the event's value, or the handle, whose result is not taken yet.
    """

    kind: Literal["message", "event", "handle"]
    key: Any
    value: Any


@dataclass(frozen=True, slots=True)
class Alternatives:
    """
    What ``select`` waits for, each in its order.

    :param topics: of messages; None is the default one.
    :param events: pairs of a run's id and a key.
    :param workflow_ids: runs that may end.
    """

    topics: tuple[str | None, ...]
    events: tuple[tuple[str, str], ...]
    workflow_ids: tuple[str, ...]

    def __post_init__(self) -> None:
        if not (self.topics or self.events or self.workflow_ids):
            raise InvalidUse("select() was given nothing to wait for. Give it topics, events or handles; sleep() only waits.")


def as_topics(given: Topics) -> tuple[str | None, ...]:
    """One topic or several. Raises ``InvalidUse`` for what cannot be one."""
    topics = tuple(given) if isinstance(given, (list, tuple)) else (given,)
    return tuple(topic if topic is None else valid_text(topic, "A topic") for topic in topics)


def as_event(given: Any) -> tuple[str, str]:
    """A pair of a run's id and a key. Raises ``InvalidUse`` for what cannot be one."""
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise InvalidUse(f"An event to wait for is a pair (workflow_id, key), not {given!r:.80}.")
    return valid_id(given[0]), valid_text(given[1], "A key")

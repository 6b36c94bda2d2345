"""Webhooks and notifications."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import durable_workflows as DBOS  # noqa: N812 - the name that the program knows
from durable_workflows import SetWorkflowID
from tests.seed.effects import leave


@dataclass
class BoltRequest:
    """What the chat framework would hand over."""

    body: dict[str, Any]


class SlackApp:
    """The chat framework: its decorator leaves the handler callable."""

    def message(self) -> Callable[[Any], Any]:
        return lambda handler: handler


slackapp = SlackApp()


@DBOS.step()
def answer(text: str) -> None:
    leave("answer", text)


@DBOS.workflow()
def message_workflow(event: dict[str, str]) -> str:
    answer(event["text"])
    return event["text"]


# As it is written there.
# fmt: off

@slackapp.message()
def handle_message(request: BoltRequest) -> None:
  event_id = request.body["event_id"]
  with SetWorkflowID(event_id):
    DBOS.start_workflow(message_workflow,     request.body["event"])

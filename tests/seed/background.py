"""Background tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import durable_workflows as DBOS  # noqa: N812 - the name that the program knows
from tests.seed.effects import leave


@dataclass
class Request:
    """What the web framework would hand over."""

    email: str
    days: int


class App:
    """The web framework: its decorator leaves the view callable."""

    def post(self, path: str) -> Callable[[Any], Any]:
        return lambda view: view


app = App()


def days_to_seconds(days: int) -> int:
    return days * 24 * 60 * 60


@DBOS.step()
def send_reminder_email(to_email: str, days: int) -> None:
    leave("send_reminder_email", to_email)


# As it is written there.
# fmt: off

@DBOS.workflow()
def schedule_reminder(to_email: str, days_to_wait: int):
    DBOS.sleep(days_to_seconds(days_to_wait))
    send_reminder_email(to_email, days_to_wait)

@app.post("/email")
def email_endpoint(request):
    DBOS.start_workflow(schedule_reminder, request.email, request.days)

"""The rows, and the only statements that write them."""

from __future__ import annotations

from durable_workflows.models.dashboard import Dashboard
from durable_workflows.models.events import Event
from durable_workflows.models.messages import Message
from durable_workflows.models.queues import QueueStart, QueueState
from durable_workflows.models.runs import Stranded, Turn, WorkflowRun
from durable_workflows.models.schedules import Schedule
from durable_workflows.models.steps import Kind, StepAttempt, StepRun
from durable_workflows.models.streams import Stream, StreamEntry
from durable_workflows.models.tallies import Tally
from durable_workflows.models.waits import Wait
from durable_workflows.models.workers import Worker

__all__ = [
    "Dashboard",
    "Event",
    "Kind",
    "Message",
    "QueueStart",
    "QueueState",
    "Schedule",
    "StepAttempt",
    "StepRun",
    "Stranded",
    "Stream",
    "StreamEntry",
    "Tally",
    "Turn",
    "Wait",
    "Worker",
    "WorkflowRun",
]

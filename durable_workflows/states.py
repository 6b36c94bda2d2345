"""
The states of a run and the one table of legal transitions.

Rows, admin colours, checks and tests read this table; nobody writes a status but ``models``.
"""

from __future__ import annotations

from types import MappingProxyType

from django.db.models import TextChoices


class RunState(TextChoices):
    DELAYED = "DELAYED", "delayed"
    ENQUEUED = "ENQUEUED", "enqueued"
    RUNNING = "RUNNING", "running"
    WAITING = "WAITING", "waiting"
    PAUSED = "PAUSED", "paused"
    CANCELLING = "CANCELLING", "cancelling"
    SUCCESS = "SUCCESS", "succeeded"
    ERROR = "ERROR", "failed"
    CANCELLED = "CANCELLED", "cancelled"
    MAX_RECOVERY_ATTEMPTS_EXCEEDED = "MAX_RECOVERY_ATTEMPTS_EXCEEDED", "dead"


S = RunState

TERMINAL = frozenset({S.SUCCESS, S.ERROR, S.CANCELLED, S.MAX_RECOVERY_ATTEMPTS_EXCEEDED})
UNFINISHED = frozenset(S) - TERMINAL
# A finished run with an outcome is never resumed, as the other two ends can be; a rewind or a retry cuts its history first.
FINISHED = frozenset({S.SUCCESS, S.ERROR})

TRANSITIONS = MappingProxyType(
    {
        S.DELAYED: frozenset({S.ENQUEUED, S.PAUSED, S.CANCELLED}),
        S.ENQUEUED: frozenset({S.RUNNING, S.PAUSED, S.CANCELLED, S.DELAYED}),
        S.RUNNING: frozenset({S.SUCCESS, S.ERROR, S.WAITING, S.ENQUEUED, S.DELAYED, S.PAUSED, S.CANCELLING, S.CANCELLED,
                              S.MAX_RECOVERY_ATTEMPTS_EXCEEDED}),
        S.WAITING: frozenset({S.ENQUEUED, S.PAUSED, S.CANCELLED}),
        # A step that is a whole run, and was under way when that was paused, still ends it.
        # One whose call is still under way where it was is left to that attempt.
        S.PAUSED: frozenset({S.RUNNING, S.ENQUEUED, S.DELAYED, S.CANCELLED, S.SUCCESS, S.ERROR}),
        S.CANCELLING: frozenset({S.CANCELLED, S.WAITING, S.ENQUEUED, S.DELAYED, S.MAX_RECOVERY_ATTEMPTS_EXCEEDED}),
        S.CANCELLED: frozenset({S.ENQUEUED}),
        S.MAX_RECOVERY_ATTEMPTS_EXCEEDED: frozenset({S.ENQUEUED}),
        S.SUCCESS: frozenset({S.ENQUEUED}),
        S.ERROR: frozenset({S.ENQUEUED}),
    }
)  # fmt: skip

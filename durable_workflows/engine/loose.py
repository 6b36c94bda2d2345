"""
What a step's streams still need when its body is done.

A value can be read at once, by a transaction beside the step's own: tokens must not wait for the commit. The end of a
stream cannot: an attempt that fails after it is tried again, and the next one must be able to write. So streams are closed
in the step's transaction, with its record.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from django.db.backends.base.base import BaseDatabaseWrapper

from durable_workflows.models import dialects, streaming
from durable_workflows.models.claims import Claim
from durable_workflows.models.streaming import Entry


@dataclass(slots=True)
class Loose:
    """
    The loose ends of one attempt.

    :param attempt: its number.
    :param closing: the streams that it closes.
    :param unwoken: those whose readers it could not wake, since somebody, perhaps its own transaction, had locked their rows.
    :param beside: whether it has written beside its transaction.
    """

    attempt: int = 1
    closing: list[str] = field(default_factory=list)
    unwoken: set[str] = field(default_factory=set)
    beside: bool = False

    def __bool__(self) -> bool:
        return bool(self.closing or self.unwoken)

    def settle(self, connection: BaseDatabaseWrapper, claim: Claim, place: tuple[str, int]) -> None:
        """Close and wake, in the open transaction."""
        for key in sorted(self.closing):
            entry = Entry(run_id=claim.id, generation=claim.generation, place=place, key=key, attempt=self.attempt)
            streaming.close(connection, entry)
        for key in sorted(self.unwoken.difference(self.closing)):
            streaming.wake_readers(connection, claim.id, key)

    def settles_inside(self, connection: BaseDatabaseWrapper) -> bool:
        """Whether the step's own transaction can: not one that would fail over what was written after its snapshot."""
        return bool(self) and not (self.beside and dialects.keeps_its_snapshot(connection))

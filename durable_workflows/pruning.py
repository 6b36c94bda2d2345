"""Deleting old runs by hand, or from a cron job; workers do it by themselves if ``RETENTION`` says so."""

from __future__ import annotations

from datetime import timedelta

from durable_workflows import context, retention, runtime
from durable_workflows.exceptions import InvalidUse


def prune_workflows(older_than: timedelta | float | None = None, limit: int | None = None, dry_run: bool = False) -> int:
    """
    Delete finished runs that are older than they are to be kept, with all that was recorded for them.

    In small transactions of its own, so it may be stopped at any time, and called by several at once. Children of a run
    that has not succeeded are kept as long as that one is.

    :param older_than: delete what ended longer ago than this timedelta, or number of days, whatever its outcome; None: what
        the setting ``RETENTION`` says.
    :param limit: delete no more than so many.
    :param dry_run: only count them. Children that would go after their parents are not among them.
    :returns: how many runs were deleted.
    :raises InvalidUse: for a span or limit that cannot be one, inside a transaction, and in a workflow's body.
    """
    if older_than is not None and (problem := retention.wrong_span("older_than", older_than)):
        raise InvalidUse(problem)
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
        raise InvalidUse(f"limit must be a number of runs, or None for all, not {limit!r:.80}.")
    caller = context.caller()
    current = caller.current() if caller else None
    if current is not None and current.step_id is None:
        raise InvalidUse(
            "prune_workflows() was called in a workflow's body, and would run again at each replay. Call it in a step."
        )
    policy = retention.policy() if older_than is None else retention.everything(older_than)
    return runtime.engine().prune(policy, limit, dry_run)

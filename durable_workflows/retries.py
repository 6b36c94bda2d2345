"""When a failed attempt is tried again: a pure value, asked by steps and by workflows."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from durable_workflows.conf import MOST_SECONDS
from durable_workflows.exceptions import InvalidUse


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """
    How often, and after what pause, a failed body is tried again.

    :param max_attempts: attempts in all, the first included.
    :param interval_seconds: the pause after the first failure.
    :param backoff_rate: the factor by which each further pause grows.
    :param max_interval_seconds: the longest pause.
    :param should_retry: called with the exception; false ends the retries at once.
    :param jitter: the part of a pause, 0 to 1, that is left to chance, so that a crowd does not return at once.
    :raises InvalidUse: if a number is out of range.
    """

    max_attempts: int = 1
    interval_seconds: float = 1.0
    backoff_rate: float = 2.0
    max_interval_seconds: float = 3600.0
    should_retry: Callable[[BaseException], bool] | None = None
    jitter: float = 0.1

    def __post_init__(self) -> None:
        if not _is_number(self.max_attempts, int) or self.max_attempts < 1:
            raise InvalidUse(
                "max_attempts counts the first attempt too, so it must be a whole number of at least 1, not"
                f" {self.max_attempts!r}."
            )
        for name in ("interval_seconds", "max_interval_seconds"):
            seconds = getattr(self, name)
            if not _is_number(seconds) or not 0 <= seconds <= MOST_SECONDS:
                raise InvalidUse(f"{name} must be a number of seconds from 0 to {MOST_SECONDS:,}, not {seconds!r}.")
        if not _is_number(self.backoff_rate) or not 1 <= self.backoff_rate < math.inf:
            raise InvalidUse(f"backoff_rate must be a number of at least 1, not {self.backoff_rate!r}: pauses must not shrink.")

    @property
    def allowed(self) -> bool:
        """Whether there is a second attempt at all."""
        return self.max_attempts > 1

    def wants(self, error: BaseException) -> bool:
        """Whether ``error`` is one to retry, attempts left or not."""
        return self.should_retry is None or bool(self.should_retry(error))

    def pause_after(self, attempt: int) -> float:
        """Seconds to wait after the failed attempt of this number, counted from 1."""
        return min(self._grown(attempt), self.max_interval_seconds) * (1 - self.jitter * random.random())

    def _grown(self, attempt: int) -> float:
        try:
            return self.interval_seconds * float(self.backoff_rate) ** (attempt - 1)
        except OverflowError:  # after a thousand attempts at the rate 2
            return math.inf if self.interval_seconds else 0.0


def _is_number(value: object, kinds: type | tuple[type, ...] = (int, float)) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)

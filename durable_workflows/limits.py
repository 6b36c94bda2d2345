"""What a queue allows, as a value: how many at once, how many a period, where, and in which order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import isfinite
from typing import Any, Literal

from durable_workflows.exceptions import InvalidUse

MOST = 2**31 - 1
LONGEST = 10**9  # seconds, some thirty years

Waiting = Literal["release", "hold"]


@dataclass(frozen=True, slots=True)
class Rate:
    """
    At most so many starts in any window of time.

    :param limit: how many, at least 1.
    :param period: the window's length in seconds.
    """

    limit: int
    period: float


COUNTS = ("concurrency", "worker_concurrency", "partition_concurrency", "partition_worker_concurrency")
RATES = ("limiter", "partition_limiter")
_OF_PARTITIONS = ("partition_concurrency", "partition_worker_concurrency", "partition_limiter")
_PARTS = (
    ("worker_concurrency", "concurrency"),
    ("partition_concurrency", "concurrency"),
    ("partition_worker_concurrency", "partition_concurrency"),
    ("partition_worker_concurrency", "worker_concurrency"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    The limits of one queue; None is no limit.

    :param concurrency: runs at once, on all workers together.
    :param worker_concurrency: runs at once on each worker.
    :param limiter: how many may be started in a window that rolls by the database's clock.
    :param partition_queue: whether its runs have partition keys; the ``partition_*`` limits hold for each key by itself,
        beside those of the queue.
    :param waiting: whether a suspended run gives its place back ("release") or keeps it ("hold"), which has the runs of a
        queue with ``concurrency=1`` take place strictly one after another.
    :param priority_ageing: seconds of waiting that make up for one step of priority.
    :raises InvalidUse: for a limit that cannot be one, and for limits that contradict each other.
    """

    concurrency: int | None = None
    limiter: Rate | None = None
    worker_concurrency: int | None = None
    partition_queue: bool = False
    partition_concurrency: int | None = None
    partition_worker_concurrency: int | None = None
    partition_limiter: Rate | None = None
    waiting: Waiting = "release"
    priority_ageing: float | None = None

    def __post_init__(self) -> None:
        for name in COUNTS:
            _check_count(name, getattr(self, name))
        if type(self.partition_queue) is not bool:
            raise InvalidUse(f"partition_queue is True or False, not {self.partition_queue!r}.")
        if self.waiting not in ("release", "hold"):
            raise InvalidUse(f"waiting is 'release' or 'hold', not {self.waiting!r}.")
        if self.priority_ageing is not None:
            _check_seconds("priority_ageing", self.priority_ageing)
        self._check_that_they_fit_together()

    def _check_that_they_fit_together(self) -> None:
        for part, whole in _PARTS:
            smaller, larger = getattr(self, part), getattr(self, whole)
            if smaller is not None and larger is not None and smaller > larger:
                raise InvalidUse(f"{part}={smaller} can never be reached, since {whole}={larger}. Lower it, or leave it out.")
        asked = [name for name in _OF_PARTITIONS if getattr(self, name) is not None]
        if asked and not self.partition_queue:
            raise InvalidUse(f"{', '.join(asked)} need partition_queue=True, by which each run has a partition key.")
        if self.waiting == "hold" and self.concurrency is None and self.partition_concurrency is None:
            raise InvalidUse("waiting='hold' keeps a place of concurrency or partition_concurrency. Set one of them.")

    @property
    def shared(self) -> bool:
        """Whether something is limited across workers, so that they must agree before they claim."""
        return self.partition_queue or self.concurrency is not None or self.limiter is not None

    @property
    def holds(self) -> bool:
        """Whether a suspended run keeps its place."""
        return self.waiting == "hold"

    def as_json(self) -> dict[str, Any]:
        """What is limited, as it is stored."""
        neutral = {field.name: field.default for field in fields(self)}
        return {name: value for name, value in asdict(self).items() if value != neutral[name]}


def limits_of(given: Mapping[str, Any]) -> Limits:
    """
    Limits out of plain values, as they are declared and stored.

    :raises InvalidUse: if a name is unknown, or a value cannot be what it says.
    """
    known = {field.name for field in fields(Limits)}
    if unknown := sorted(set(map(str, given)) - known):
        raise InvalidUse(f"There is no limit {', '.join(unknown)}. There are {', '.join(sorted(known))}.")
    values: dict[str, Any] = {name: _rate(name, value) if name in RATES else value for name, value in given.items()}
    return Limits(**values)


def _rate(name: str, value: Any) -> Rate | None:
    if value is None or isinstance(value, Rate):
        return value
    if not isinstance(value, Mapping) or set(value) != {"limit", "period"} or value["limit"] is None:
        raise InvalidUse(f'{name} is a dict such as {{"limit": 50, "period": 30}}, 50 starts in 30 seconds, not {value!r}.')
    _check_count(f"{name}['limit']", value["limit"])
    _check_seconds(f"{name}['period']", value["period"])
    return Rate(value["limit"], value["period"])


def _check_count(name: str, value: Any) -> None:
    if value is not None and (type(value) is not int or not 1 <= value <= MOST):
        raise InvalidUse(f"{name} is a whole number from 1 to {MOST}, or None for no limit, not {value!r}.")


def _check_seconds(name: str, value: Any) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not isfinite(value) or not 0 < value <= LONGEST:
        raise InvalidUse(f"{name} is a positive number of seconds, at most {LONGEST:,}, not {value!r}.")


NO_LIMITS = Limits()

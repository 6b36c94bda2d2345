"""
How long finished runs are kept: the setting ``RETENTION`` as a value.

>>> policy_of({"SUCCESS": 30, "WORKFLOWS": {"ping": 1}}).age("ping", RunState.SUCCESS)
datetime.timedelta(days=1)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from math import isfinite
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from durable_workflows.conf import SETTING, config
from durable_workflows.states import TERMINAL, RunState

WORKFLOWS = "WORKFLOWS"
MOST_DAYS = 36_500
Ages = Mapping[RunState, timedelta]  # of the states whose runs are not kept for ever
ENDS = tuple(sorted(TERMINAL))


@dataclass(frozen=True, slots=True)
class Policy:
    """
    For how long runs are kept after their end.

    :param general: by outcome; what is not in it is kept for ever.
    :param workflows: the same for single workflows, by their names.
    """

    general: Ages = field(default_factory=dict)
    workflows: Mapping[str, Ages] = field(default_factory=dict)

    def age(self, name: str, status: RunState) -> timedelta | None:
        """After how long a run of this workflow with this outcome may go; None: never."""
        return self.workflows.get(name, self.general).get(status)

    def shortest(self, status: RunState) -> timedelta | None:
        """After how long any run with this outcome may go; None: none ever does."""
        ages = [ages[status] for ages in (self.general, *self.workflows.values()) if status in ages]
        return min(ages, default=None)


def policy() -> Policy:
    """
    What the setting says.

    :raises ImproperlyConfigured: if it says what cannot be; then nothing is to be deleted.
    """
    return policy_of(config().retention)


def policy_of(given: Mapping[str, Any]) -> Policy:
    """The same of such a dict."""
    for problem in problems(given):
        raise ImproperlyConfigured(problem)
    general = {key: value for key, value in given.items() if key != WORKFLOWS}
    return Policy(_ages(general), {name: _ages(_spread(said, general)) for name, said in given.get(WORKFLOWS, {}).items()})


def everything(older_than: timedelta | float) -> Policy:
    """
    Whatever ended longer ago, whatever the setting says.

    :param older_than: a timedelta, or a number of days; see ``wrong_span``.
    """
    return Policy(dict.fromkeys(ENDS, _span(older_than)))


def _spread(said: Any, general: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is said of one workflow, for each outcome: one span for all, or some that stand beside the general ones."""
    return {**general, **said} if isinstance(said, Mapping) else dict.fromkeys(ENDS, said)


def _ages(said: Mapping[str, Any]) -> Ages:
    return {RunState(key): _span(value) for key, value in said.items() if value is not None}


def _span(value: timedelta | float) -> timedelta:
    return value if isinstance(value, timedelta) else timedelta(days=value)


def problems(given: object) -> Iterator[str]:
    """What is wrong with the setting, each as a sentence that says how to mend it."""
    if not isinstance(given, Mapping):
        yield f"{_PLACE} must be a dict such as {{'SUCCESS': 30}}, not {given!r:.80}."
        return
    workflows = given.get(WORKFLOWS, {})
    yield from _problems({key: value for key, value in given.items() if key != WORKFLOWS}, _PLACE)
    if not isinstance(workflows, Mapping):
        yield f"{_PLACE}['{WORKFLOWS}'] must be a dict from the names of workflows, not {workflows!r:.80}."
        return
    for name, said in workflows.items():
        place = f"{_PLACE}['{WORKFLOWS}'][{name!r}]"
        if not isinstance(name, str):
            yield f"{place}: a workflow's name is text."
        yield from _problems(said, place) if isinstance(said, Mapping) else filter(None, [wrong_span(place, said)])


_PLACE = f"{SETTING}['RETENTION']"


def _problems(said: Mapping[Any, Any], place: str) -> Iterator[str]:
    for key, value in said.items():
        if key not in ENDS:
            yield f"{place} has the unknown key {key!r}. The keys are {', '.join(ENDS)}."
        elif problem := wrong_span(f"{place}[{str(key)!r}]", value):
            yield problem


def wrong_span(place: str, value: Any) -> str:
    """What is wrong with one span; "" if nothing is. A bool is a number to Python, and a mistake here."""
    if value is None or (isinstance(value, timedelta) and timedelta() <= value <= timedelta(days=MOST_DAYS)):
        return ""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value) and 0 <= value <= MOST_DAYS:
        return ""
    return f"{place} must be a number of days from 0 to {MOST_DAYS:,}, a timedelta, or None (for ever), not {value!r:.80}."

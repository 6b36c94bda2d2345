"""An action on runs, and its words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest

from durable_workflows.models import WorkflowRun
from durable_workflows.states import RunState

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """
    An action on runs, and its words.

    In the words, ``%(number)s`` is how many runs they are, such as "12" or "10,000+".

    :param action: the name of the admin's action.
    :param permission: the part of the permission's code name before the model's.
    :param applies_to: the states in which it does something; runs in another are left alone, and counted.
    :param unless: which runs in those states it leaves alone, too.
    :param call: carries it out for some ids, the option being that of the confirmation page.
    :param arrives_in: the states that tell afterwards which runs it got hold of; empty if they cannot.
    :param choice: what the list of actions calls it.
    :param option: a choice on the confirmation page, or "".
    :param logged: what the log says of each run; in English, as it is stored.
    :param dangerous: whether its button warns.
    :param removes: whether the runs are gone afterwards.
    """

    action: str
    permission: str
    applies_to: frozenset[RunState]
    unless: Q = Q()  # noqa: RUF009  # never changed
    call: Callable[[Sequence[str], bool], Any]
    arrives_in: frozenset[RunState] = frozenset()
    choice: _StrPromise
    button: _StrPromise
    question: _StrPromise
    consequence: _StrPromise
    option: _StrPromise | str = ""
    done: _StrPromise
    left_alone: _StrPromise
    logged: str
    logged_with_option: str = ""
    dangerous: bool = False
    removes: bool = False

    def allowed_to(self, request: HttpRequest) -> bool:
        """Whether the user may do it."""
        return bool(request.user.has_perm(f"durable_workflows.{self.permission}_workflowrun"))

    def applying(self, runs: QuerySet[WorkflowRun]) -> QuerySet[WorkflowRun]:
        """Those of ``runs`` that it does something to."""
        applicable = runs.filter(status__in=self.applies_to)
        return applicable.exclude(self.unless) if self.unless else applicable

    def not_applying(self, runs: QuerySet[WorkflowRun]) -> QuerySet[WorkflowRun]:
        """Those of ``runs`` that it leaves alone."""
        other_state = ~Q(status__in=self.applies_to)
        return runs.filter(other_state | self.unless if self.unless else other_state)

"""What an operator can do to runs from the admin: each verb asks first, has its own permission, and is logged per run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from durable_workflows import steering
from durable_workflows.models import WorkflowRun
from durable_workflows.models.runs import Saga
from durable_workflows.models.steering import RESUMABLE
from durable_workflows.states import TERMINAL, UNFINISHED, RunState

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

S = RunState


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


CANCEL = Verb(
    action="cancel_runs",
    permission="cancel",
    applies_to=UNFINISHED,
    call=lambda ids, children: steering.cancel_workflows(ids, cancel_children=children),
    arrives_in=frozenset({S.CANCELLING, S.CANCELLED}),
    choice=_("Cancel selected %(verbose_name_plural)s"),
    button=_("Cancel"),
    question=ngettext_lazy("Cancel this workflow run?", "Cancel these %(number)s workflow runs?", "count"),
    consequence=_(
        "A waiting run ends at once, a running one at its next step. What the steps have done so far stays done, "
        "unless a saga is open: then its undo steps run first. A cancelled run that was not undone can be resumed later."
    ),
    option=_("Also cancel child runs, and theirs"),
    done=ngettext_lazy("%(number)s workflow run was cancelled.", "%(number)s workflow runs were cancelled.", "count"),
    left_alone=ngettext_lazy(
        "%(number)s workflow run is left alone, because it has ended already.",
        "%(number)s workflow runs are left alone, because they have ended already.",
        "count",
    ),
    logged="Cancelled.",
    logged_with_option="Cancelled, with its child runs.",
    dangerous=True,
)

RESUME = Verb(
    action="resume_runs",
    permission="resume",
    applies_to=frozenset(RESUMABLE),
    unless=Q(status=S.CANCELLED, saga=Saga.CANCELLED),
    call=lambda ids, _option: steering.resume_workflows(ids),
    choice=_("Resume selected %(verbose_name_plural)s"),
    button=_("Resume"),
    question=ngettext_lazy("Resume this workflow run?", "Resume these %(number)s workflow runs?", "count"),
    consequence=_(
        "It is handed to a worker now, ahead of its queue, and goes on after its last recorded step. "
        "Its deadline and its count of lost workers are cleared."
    ),
    done=ngettext_lazy("%(number)s workflow run was resumed.", "%(number)s workflow runs were resumed.", "count"),
    left_alone=ngettext_lazy(
        "%(number)s workflow run is left alone, because it is running or has finished.",
        "%(number)s workflow runs are left alone, because they are running or have finished.",
        "count",
    ),
    logged="Resumed.",
)

DELETE = Verb(
    action="delete_runs",
    permission="delete",
    applies_to=TERMINAL,
    call=lambda ids, _option: WorkflowRun.objects.filter(pk__in=ids).delete(),
    choice=_("Delete selected %(verbose_name_plural)s"),
    button=_("Delete"),
    question=ngettext_lazy("Delete this workflow run?", "Delete these %(number)s workflow runs?", "count"),
    consequence=_(
        "The run, its inputs and outcome, and all that is recorded of it are gone for good. Its id may be used again, and a "
        "workflow that asks for its result finds none. Child runs stay."
    ),
    done=ngettext_lazy("%(number)s workflow run was deleted.", "%(number)s workflow runs were deleted.", "count"),
    left_alone=ngettext_lazy(
        "%(number)s workflow run is left alone, because it has not ended.",
        "%(number)s workflow runs are left alone, because they have not ended.",
        "count",
    ),
    logged="Deleted.",
    dangerous=True,
    removes=True,
)

VERBS = (CANCEL, RESUME, DELETE)

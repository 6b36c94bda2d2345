"""What an operator can do to runs from the admin: each verb asks first, has its own permission, and is logged per run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from durable_workflows import steering
from durable_workflows.models.steering import RESUMABLE
from durable_workflows.states import UNFINISHED, RunState

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

S = RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """
    An action on runs, and its words.

    :param action: the name of the admin's action.
    :param permission: the part of the permission's code name before the model's.
    :param applies_to: the states in which it does something; runs in another are left alone, and counted.
    :param call: carries it out for some ids, the option being that of the confirmation page.
    :param arrives_in: the states that tell afterwards which runs it got hold of; empty if they cannot.
    :param option: a choice on the confirmation page, or "".
    :param logged: what the log says of each run; in English, as it is stored.
    """

    action: str
    permission: str
    applies_to: frozenset[RunState]
    call: Callable[[Sequence[str], bool], Any]
    arrives_in: frozenset[RunState] = frozenset()
    button: _StrPromise
    question: _StrPromise
    consequence: _StrPromise
    option: _StrPromise | str = ""
    done: _StrPromise
    left_alone: _StrPromise
    logged: str
    logged_with_option: str = ""
    dangerous: bool = False


CANCEL = Verb(
    action="cancel_runs",
    permission="cancel",
    applies_to=UNFINISHED,
    call=lambda ids, children: steering.cancel_workflows(ids, cancel_children=children),
    arrives_in=frozenset({S.CANCELLING, S.CANCELLED}),
    button=_("Cancel"),
    question=ngettext_lazy("Cancel this workflow run?", "Cancel these %(count)d workflow runs?", "count"),
    consequence=_(
        "A waiting run ends at once, a running one at its next step. What the steps have done so far stays done, "
        "unless a saga is open: then its undo steps run first. A cancelled run that was not undone can be resumed later."
    ),
    option=_("Also cancel child runs, and theirs"),
    done=ngettext_lazy("%(count)d workflow run was cancelled.", "%(count)d workflow runs were cancelled.", "count"),
    left_alone=ngettext_lazy(
        "%(count)d workflow run is left alone, because it has ended already.",
        "%(count)d workflow runs are left alone, because they have ended already.",
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
    call=lambda ids, _option: steering.resume_workflows(ids),
    button=_("Resume"),
    question=ngettext_lazy("Resume this workflow run?", "Resume these %(count)d workflow runs?", "count"),
    consequence=_(
        "It is handed to a worker now, ahead of its queue, and goes on after its last recorded step. "
        "Its deadline and its count of lost workers are cleared."
    ),
    done=ngettext_lazy("%(count)d workflow run was resumed.", "%(count)d workflow runs were resumed.", "count"),
    left_alone=ngettext_lazy(
        "%(count)d workflow run is left alone, because it is running or has finished.",
        "%(count)d workflow runs are left alone, because they are running or have finished.",
        "count",
    ),
    logged="Resumed.",
)

VERBS = (CANCEL, RESUME)

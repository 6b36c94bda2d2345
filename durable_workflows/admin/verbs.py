"""What an operator can do to runs from the admin: each verb asks first, has its own permission, and is logged per run."""

from __future__ import annotations

from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from durable_workflows import keeping, steering
from durable_workflows.admin.removing import DELETE, ERASE
from durable_workflows.admin.verb import Verb
from durable_workflows.models.runs import Saga
from durable_workflows.models.steering import RESUMABLE
from durable_workflows.states import UNFINISHED, RunState

S = RunState

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

RETRY = Verb(
    action="retry_runs",
    permission="retry",
    applies_to=frozenset({S.ERROR, S.MAX_RECOVERY_ATTEMPTS_EXCEEDED}),
    call=lambda ids, _option: steering.retry_workflows(ids),
    choice=_("Retry selected %(verbose_name_plural)s"),
    button=_("Retry"),
    question=ngettext_lazy("Retry this workflow run?", "Retry these %(number)s workflow runs?", "count"),
    consequence=_(
        "It goes on from the step that failed, with the same input; what succeeded before is kept. That step is done again "
        "under the idempotency key that it had, and a child that failed is tried again in the same way."
    ),
    done=ngettext_lazy("%(number)s workflow run is tried again.", "%(number)s workflow runs are tried again.", "count"),
    left_alone=ngettext_lazy(
        "%(number)s workflow run is left alone, because it has not failed.",
        "%(number)s workflow runs are left alone, because they have not failed.",
        "count",
    ),
    logged="Retried.",
)

PAUSE = Verb(
    action="pause_runs",
    permission="pause",
    applies_to=frozenset({S.DELAYED, S.ENQUEUED, S.RUNNING, S.WAITING}),
    unless=Q(saga=Saga.CANCELLED),
    call=lambda ids, _option: keeping.pause_workflows(ids),
    arrives_in=frozenset({S.PAUSED}),
    choice=_("Pause selected %(verbose_name_plural)s"),
    button=_("Pause"),
    question=ngettext_lazy("Pause this workflow run?", "Pause these %(number)s workflow runs?", "count"),
    consequence=_(
        "What waits is paused at once; a running one begins nothing more, and the step that is under way ends. What is sent to "
        "it meanwhile is kept. Its deadline holds."
    ),
    done=ngettext_lazy("%(number)s workflow run was paused.", "%(number)s workflow runs were paused.", "count"),
    left_alone=ngettext_lazy(
        "%(number)s workflow run is left alone, because it is paused or being cancelled, or has ended.",
        "%(number)s workflow runs are left alone, because they are paused or being cancelled, or have ended.",
        "count",
    ),
    logged="Paused.",
)

UNPAUSE = Verb(
    action="unpause_runs",
    permission="pause",
    applies_to=frozenset({S.PAUSED}),
    call=lambda ids, _option: keeping.unpause_workflows(ids),
    choice=_("Unpause selected %(verbose_name_plural)s"),
    button=_("Unpause"),
    question=ngettext_lazy("Let this workflow run go on?", "Let these %(number)s workflow runs go on?", "count"),
    consequence=_("It goes on from its last recorded step as soon as its queue lets it; one that was delayed, at its moment."),
    done=ngettext_lazy("%(number)s workflow run goes on.", "%(number)s workflow runs go on.", "count"),
    left_alone=ngettext_lazy(
        "%(number)s workflow run is left alone, because it is not paused.",
        "%(number)s workflow runs are left alone, because they are not paused.",
        "count",
    ),
    logged="Unpaused.",
)

VERBS = (CANCEL, RESUME, RETRY, PAUSE, UNPAUSE, ERASE, DELETE)

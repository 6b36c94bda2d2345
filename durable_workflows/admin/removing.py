"""What takes something away for good: the payloads of runs, or the runs."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from durable_workflows import keeping
from durable_workflows.admin.verb import Verb
from durable_workflows.states import TERMINAL

ERASE = Verb(
    action="erase_runs",
    permission="erase",
    applies_to=TERMINAL,
    call=keeping.erase_payloads,
    choice=_("Erase payloads of selected %(verbose_name_plural)s"),
    button=_("Erase payloads"),
    question=ngettext_lazy(
        "Erase the payloads of this workflow run?", "Erase the payloads of these %(number)s workflow runs?", "count"
    ),
    consequence=_(
        "Inputs, outputs, messages, events, streams, what exceptions say, attributes and users are gone for good; ids, names, "
        "states and times stay. Such a run cannot be retried, rewound or forked any more."
    ),
    option=_("Also those of child runs and forks, which hold copies, and of theirs; all must have ended"),
    done=ngettext_lazy(
        "The payloads of %(number)s workflow run were erased.", "The payloads of %(number)s workflow runs were erased.", "count"
    ),
    left_alone=ngettext_lazy(
        "%(number)s workflow run is left alone, because it has not ended.",
        "%(number)s workflow runs are left alone, because they have not ended.",
        "count",
    ),
    logged="Payloads erased.",
    logged_with_option="Payloads erased, also those of its child runs and forks.",
    dangerous=True,
)

DELETE = Verb(
    action="delete_runs",
    permission="delete",
    applies_to=TERMINAL,
    call=keeping.delete_workflows,
    choice=_("Delete selected %(verbose_name_plural)s"),
    button=_("Delete"),
    question=ngettext_lazy("Delete this workflow run?", "Delete these %(number)s workflow runs?", "count"),
    consequence=_(
        "The run, its inputs and outcome, and all that is recorded of it are gone for good. Its id may be used again, and a "
        "workflow that asks for its result finds none. Child runs stay, unless they are to go, too."
    ),
    option=_("Also delete child runs, and theirs; all must have ended"),
    done=ngettext_lazy("%(number)s workflow run was deleted.", "%(number)s workflow runs were deleted.", "count"),
    left_alone=ngettext_lazy(
        "%(number)s workflow run is left alone, because it has not ended.",
        "%(number)s workflow runs are left alone, because they have not ended.",
        "count",
    ),
    logged="Deleted.",
    logged_with_option="Deleted, with its child runs.",
    dangerous=True,
    removes=True,
)

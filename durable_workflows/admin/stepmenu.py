"""What can be done to a run from one of its steps on: a menu at the step's row, of links to pages that ask first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.utils.translation import gettext_lazy as _

from durable_workflows.admin.sight import Row
from durable_workflows.states import UNFINISHED, RunState

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise


@dataclass(frozen=True, slots=True, kw_only=True)
class StepAction:
    """
    An action on a run that begins at a step.

    :param view: the name of the page that asks, less that of the model; it is told the ``step``, its position in the body.
    :param permission: the part of the permission's code name before the model's.
    :param applies_to: the states of the run in which it is offered.
    """

    label: _StrPromise | str
    view: str
    permission: str
    applies_to: frozenset[RunState] = frozenset(RunState)


STEP_ACTIONS: tuple[StepAction, ...] = (
    StepAction(label=_("Fork from here…"), view="fork", permission="fork"),
    StepAction(label=_("Rewind to here…"), view="rewind", permission="fork"),
)
# At the head of the page, of the run as a whole.
RUN_ACTIONS: tuple[StepAction, ...] = (
    StepAction(label=_("Fork…"), view="fork", permission="fork"),
    StepAction(label=_("Send message…"), view="send", permission="send", applies_to=UNFINISHED),
)


@dataclass(frozen=True, slots=True)
class Item:
    """A line of a menu."""

    label: _StrPromise | str
    url: str


Menu = Callable[[Row], Sequence[Item]]


def no_menu(row: Row) -> Sequence[Item]:
    """Of a step about which nothing can be done."""
    return ()


def menu(actions: Sequence[StepAction], address: Callable[[str], str]) -> Menu:
    """The menu of a step: only the positions of the body are places to begin at."""
    links = [(action.label, address(action.view)) for action in actions]

    def items(row: Row) -> Sequence[Item]:
        at = urlencode({"step": row["position"]})
        return () if row["branch"] else [Item(label, f"{url}?{at}") for label, url in links]

    return items

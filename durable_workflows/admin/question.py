"""A question about runs: a form, what it says, and what is done once it is answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.utils.translation import gettext_lazy as _

from durable_workflows.exceptions import DurableError
from durable_workflows.models import QueueState, WorkflowRun
from durable_workflows.options import ID_MAX_LENGTH
from durable_workflows.queues import Queue
from durable_workflows.states import RunState

if TYPE_CHECKING:
    from django.forms import BoundField
    from django.utils.functional import _StrPromise

SUGGESTED = 200  # choices


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What was done.

    :param run_id: the run whose page tells of it.
    :param text: what is said there.
    :param already: whether it was done before, so that nothing was done now.
    :param logged: by the ids of runs what the log says of them: flag and message.
    """

    run_id: str
    text: str
    logged: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    already: bool = False


class SentBefore(DurableError):
    """A form was sent before, with something else in it; as it is now, it may be sent as a new one."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some fields of a form, under a heading; ``lines`` stand below them."""

    heading: _StrPromise | str
    fields: Sequence[BoundField]
    note: _StrPromise | str = ""
    lines: Sequence[str] = ()


class Question(forms.Form):
    """
    What is asked before something is done; the words of a page.

    ``view`` names the page, ``permission`` is the part of the permission's code name before the model's.
    """

    view: ClassVar[str]
    permission: ClassVar[str]
    applies_to: ClassVar[frozenset[RunState]] = frozenset(RunState)
    title: ClassVar[_StrPromise]
    button: ClassVar[_StrPromise]
    consequence: ClassVar[_StrPromise]
    dangerous: ClassVar[bool] = False

    def parts(self) -> list[Part]:
        """The fields as they are shown."""
        return [Part("", self.visible_fields())]

    def told(self) -> list[str]:
        """What else is to be known beforehand."""
        return []

    def suggestions(self) -> Mapping[str, Sequence[str]]:
        """For a list by its id what may be chosen."""
        return {}

    def answer(self) -> Answer:
        """Do it, in the open transaction. Raises a ``DurableError`` that says why it cannot be done."""
        raise NotImplementedError

    def renew(self) -> None:
        """Make a new form of one that was sent before, with what is in it."""
        sent: Any = self.data
        renewed = sent.copy()
        renewed["token"] = self.initial["token"]
        self.data = renewed

    def given(self, names: Iterable[str]) -> list[BoundField]:
        """Some of the fields."""
        return [self[name] for name in names if name in self.fields]


class AboutRun(Question):
    """
    A question about one run.

    :param payloads: whether the visitor may see its payloads.
    :param asked: the query of the page's address.
    """

    def __init__(self, data: Any = None, *, run: WorkflowRun, payloads: bool, asked: Mapping[str, str]) -> None:
        super().__init__(data)
        self.run, self.payloads = run, payloads
        self.prepare(asked)

    def prepare(self, asked: Mapping[str, str]) -> None:
        """Fill in what depends on the run."""


def step_of(asked: Mapping[str, str]) -> int | None:
    """The step that the page's address names."""
    text = asked.get("step", "")[:9]
    return int(text) or None if text.isdecimal() else None


def new_id_field() -> forms.CharField:
    """A field for the id of a run that is to be made."""
    return forms.CharField(
        required=False, max_length=ID_MAX_LENGTH, strip=False, label=_("Its id"), help_text=_("Empty: one is made up.")
    )


def token_field() -> forms.CharField:
    """A hidden field by which a form that is sent twice is known."""
    return forms.CharField(max_length=ID_MAX_LENGTH, widget=forms.HiddenInput(attrs={"autocomplete": "off"}))


def queue_field(empty: _StrPromise, names: Iterable[str] = ()) -> forms.ChoiceField:
    """A choice of the queues that code declares, or a row is of."""
    rows = QueueState.objects.order_by("name").values_list("name", flat=True)[:SUGGESTED]
    known = sorted({*Queue.declared, *rows, *names})
    return forms.ChoiceField(required=False, label=_("Queue"), choices=[("", empty), *((name, name) for name in known)])

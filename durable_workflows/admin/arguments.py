"""The arguments of a run as the fields of a form: those that JSON says as they are can be changed, the others are kept."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models.functions import Length
from django.utils.translation import gettext_lazy as _

from durable_workflows import registry
from durable_workflows.admin import jsonfield
from durable_workflows.exceptions import WorkflowNotRegistered
from durable_workflows.models import WorkflowRun
from durable_workflows.redaction import is_secret, redacted, secret_positions
from durable_workflows.serializers import is_erased, loads

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

LONGEST = 100_000  # characters of all arguments together
MOST = 100
TAGGED = '"$"'  # in the JSON of a value that is no plain JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """
    One argument.

    :param place: the number of a positional argument, the name of another.
    :param text: its value as JSON; "" if it is not to be seen.
    :param kept: why it cannot be changed; "" if it can.
    """

    place: int | str
    label: str
    text: str = ""
    kept: _StrPromise | str = ""

    @property
    def field(self) -> str:
        """The name of its field."""
        return f"{'arg' if isinstance(self.place, int) else 'kwarg'}:{self.place}"


@dataclass(frozen=True, slots=True)
class Arguments:
    """
    The arguments of a run.

    :param kept: why none of them can be changed; "" if some may.
    """

    run: WorkflowRun
    each: Sequence[Argument] = ()
    kept: _StrPromise | str = ""

    def changed(self, values: Mapping[int | str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
        """
        ``args`` and ``kwargs`` for ``fork_workflow``: only those that are not as before, the others as they are stored.

        :param values: the new values, by their places; :param more: further keyword arguments.
        :raises PayloadCorrupted: if those that stay cannot be read here.
        """
        named = {place: value for place, value in values.items() if isinstance(place, str)} | dict(more)
        if not values and not named:
            return {}
        before = loads(_stored(self.run) or "", what=f"arguments of {self.run.name!r}")
        args = [values.get(number, value) for number, value in enumerate(before["args"])]
        return {"args": args, "kwargs": {**before["kwargs"], **named}}


def arguments_of(run: WorkflowRun, payloads: bool) -> Arguments:
    """
    The arguments of a run, as far as they may be seen.

    :param payloads: whether the visitor may see payloads.
    """
    if not payloads:
        return Arguments(run, kept=_("Its input stays as it is: to change it, one needs the permission to see payloads."))
    length = WorkflowRun.objects.filter(pk=run.pk).values_list(Length("inputs"), flat=True).first()
    if (length or 0) > LONGEST:
        return Arguments(
            run, kept=_("Its input stays as it is: it is too long to be changed here. fork_workflow() takes another.")
        )
    text = _stored(run)
    if text is None or is_erased(text):
        return Arguments(run, kept=_("Its input was erased, so that nothing can be done with it any more."))
    return _apart(run, text)


def _stored(run: WorkflowRun) -> str | None:
    return WorkflowRun.objects.filter(pk=run.pk).values_list("inputs", flat=True).first()


def _apart(run: WorkflowRun, text: str) -> Arguments:
    try:
        match json.loads(text):
            case {"args": [*args], "kwargs": {**kwargs}} if "$" not in kwargs and len(args) + len(kwargs) <= MOST:
                return Arguments(run, [*_positional(run, args), *(_named(str(name), value) for name, value in kwargs.items())])
    except (ValueError, RecursionError):
        pass
    return Arguments(run, kept=_("Its input stays as it is: it is not a few arguments that this page could tell apart."))


def _positional(run: WorkflowRun, args: Sequence[Any]) -> list[Argument]:
    names, secret = parameter_names(run.name), secret_positions(run.name)
    return [
        _argument(place, names[place] if place < len(names) else f"[{place}]", value, place in secret)
        for place, value in enumerate(args)
    ]


def _named(name: str, value: Any) -> Argument:
    return _argument(name, name, value, is_secret(name))


def _argument(place: int | str, label: str, value: Any, secret: bool) -> Argument:
    text = jsonfield.shown(value)
    if secret or redacted(text) != text:
        return Argument(place=place, label=label, kept=_("It is redacted, and stays as it is stored."))
    if TAGGED in text:
        return Argument(
            place=place,
            label=label,
            text=json.dumps(value, ensure_ascii=False),
            kept=_("It is of a type that JSON does not say, and stays as it is."),
        )
    return Argument(place=place, label=label, text=text)


def parameter_names(name: str) -> list[str]:
    """What a workflow calls its positional arguments; nothing if this process does not know its code."""
    try:
        parameters = inspect.signature(registry.find(name).func).parameters.values()
    except (WorkflowNotRegistered, TypeError, ValueError):
        return []
    return [each.name for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]

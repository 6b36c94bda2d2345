"""The parameters of a workflow as the fields of a form, by their annotations; what has no field of its own is asked as JSON."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from inspect import BoundArguments, Parameter
from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from durable_workflows.admin import jsonfield
from durable_workflows.admin.backfill import Moment

SEVERAL = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
NOTHING = ("", "—")
YES_NO = (("true", _("yes")), ("false", _("no")))


@dataclass(frozen=True, slots=True)
class Input:
    """
    One parameter.

    :param optional: whether None fits.
    """

    parameter: Parameter
    kind: Any
    optional: bool

    @property
    def field_name(self) -> str:
        """The name of its field."""
        return f"arg:{self.parameter.name}"

    @property
    def has_default(self) -> bool:
        return self.parameter.default is not Parameter.empty

    def field(self) -> forms.Field:
        """Its field; what is left empty is left out, or None, if that is possible."""
        if self.parameter.kind in SEVERAL:
            return self._several()
        common = {"label": self.parameter.name, "required": not self._may_be_empty, "help_text": self._hint()}
        field = _FIELDS.get(self.kind, _choice_or_json)(self.kind, common)
        if self.has_default:
            field.initial = _initial(field, self.parameter.default)
        return field

    def _several(self) -> forms.Field:
        positional = self.parameter.kind is Parameter.VAR_POSITIONAL
        hint = _("A JSON list of further arguments.") if positional else _("A JSON object of further arguments by their names.")
        return jsonfield.JsonField(label=f"{'*' if positional else '**'}{self.parameter.name}", required=False, help_text=hint)

    def _hint(self) -> Any:
        name = getattr(self.kind, "__name__", str(self.kind)) if self.kind is not Parameter.empty else "JSON"
        known = name if self.kind in _FIELDS or _is_enum(self.kind) else f"{name}, JSON" if name != "JSON" else name
        return _("%(kind)s, or nothing") % {"kind": known} if self._may_be_empty else known

    @property
    def _may_be_empty(self) -> bool:
        """An empty text is a text."""
        return self.optional or (self.has_default and self.kind is not str)

    def is_left_out(self, value: Any) -> bool:
        """Whether nothing was given for it, so that its default holds."""
        return value is jsonfield.ABSENT or (value in ("", None) and (self.optional or self.kind is not str))

    def value(self, value: Any) -> Any:
        """What the code is given."""
        if _is_enum(self.kind) and isinstance(value, str):
            return self.kind[value]
        return value == "true" if self.kind is bool else value


def inputs_of(func: Callable[..., Any]) -> list[Input]:
    """The parameters of a workflow's function."""
    try:
        hints = typing.get_type_hints(func)
    except Exception:  # noqa: BLE001  an annotation is any expression, so it fails in any way
        hints = {}
    return [Input(each, *_kind(hints.get(name, Parameter.empty))) for name, each in inspect.signature(func).parameters.items()]


def _kind(hint: Any) -> tuple[Any, bool]:
    """An annotation without its ``| None``, and whether it had one."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        rest = [each for each in typing.get_args(hint) if each is not type(None)]
        optional = len(rest) < len(typing.get_args(hint))
        return (rest[0] if len(rest) == 1 else Any), optional
    return hint, hint in (Any, Parameter.empty)


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Enum)


def _initial(field: forms.Field, default: Any) -> Any:
    if isinstance(field, jsonfield.JsonField):
        try:
            return jsonfield.shown(default) if default is not None else None
        except (TypeError, ValueError, RecursionError):
            return None  # left empty, it holds
    if isinstance(default, Enum):
        return default.name
    return str(default).lower() if isinstance(default, bool) else default


def _choice_or_json(kind: Any, common: dict[str, Any]) -> forms.Field:
    if _is_enum(kind):
        return forms.ChoiceField(choices=[NOTHING, *((each.name, each.name) for each in kind)], **common)
    return jsonfield.JsonField(**common)


def _text(kind: Any, common: dict[str, Any]) -> forms.Field:
    return forms.CharField(strip=False, **{**common, "required": False}, widget=forms.TextInput(attrs={"size": 40}))


def _yes_or_no(kind: Any, common: dict[str, Any]) -> forms.Field:
    return forms.ChoiceField(choices=[NOTHING, *YES_NO], **common)


def _date(kind: Any, common: dict[str, Any]) -> forms.Field:
    return forms.DateField(widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"), **common)


_FIELDS: Mapping[Any, Callable[[Any, dict[str, Any]], forms.Field]] = {
    str: _text,
    int: lambda kind, common: forms.IntegerField(**common),
    float: lambda kind, common: forms.FloatField(**common),
    bool: _yes_or_no,
    date: _date,
    datetime: lambda kind, common: Moment(**common),
    Decimal: lambda kind, common: forms.DecimalField(**common),
    UUID: lambda kind, common: forms.UUIDField(**common),
}


def call_of(
    inputs: Sequence[Input], said: Mapping[str, Any], signature: inspect.Signature
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """
    Positional and keyword arguments.

    :param said: the cleaned values, by their fields' names.
    :raises ValidationError: if they do not fit the signature.
    """
    values: dict[str, Any] = {}
    for each in inputs:
        given = said.get(each.field_name, jsonfield.ABSENT)
        if each.parameter.kind in SEVERAL:
            if given is not jsonfield.ABSENT:
                values[each.parameter.name] = _checked(each.parameter, given)
        elif not each.is_left_out(given):
            values[each.parameter.name] = each.value(given)
        elif each.optional and not each.has_default:
            values[each.parameter.name] = None
    bound = BoundArguments(signature, values)
    if any(each.parameter.kind is Parameter.VAR_POSITIONAL and values.get(each.parameter.name) for each in inputs):
        bound.apply_defaults()  # what stands before them cannot be left out
    try:
        signature.bind(*bound.args, **bound.kwargs)
    except TypeError as error:
        raise ValidationError(_("These arguments do not fit: %(error)s."), params={"error": str(error)}) from error
    return bound.args, bound.kwargs


def _checked(parameter: Parameter, given: Any) -> Any:
    wanted: type = list if parameter.kind is Parameter.VAR_POSITIONAL else dict
    if not isinstance(given, wanted):
        raise ValidationError(_("%(name)s is to be a JSON %(kind)s."), params={
            "name": parameter.name, "kind": _("list") if wanted is list else _("object"),
        })  # fmt: skip
    return given

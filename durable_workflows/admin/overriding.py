"""The part of a form by which a limit is overridden: as declared, no limit, or a value."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from durable_workflows.limits import LONGEST, MOST

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

DECLARED, NONE, VALUE = "", "none", "value"


@dataclass(frozen=True, slots=True)
class Said:
    """What is chosen, and the numbers beside it, which count only if a value is chosen."""

    kind: str = DECLARED
    numbers: tuple[Any, ...] = ()


class OverrideWidget(forms.MultiWidget):
    """A choice, and numbers with their units."""

    template_name = "admin/durable_workflows/queuestate/override.html"

    def __init__(self, numbers: Sequence[tuple[_StrPromise, str]]) -> None:
        self.units = [unit for unit, _step in numbers]
        inputs = [forms.NumberInput({"min": 0 if step == "any" else 1, "step": step}) for _unit, step in numbers]
        super().__init__([forms.Select(), *inputs])

    def decompress(self, value: Said | None) -> list[Any]:
        said = value or Said()
        return [said.kind, *(said.numbers or [None] * len(self.units))]

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        """As ever, and each number's unit; a screen reader is told for each part what it is of."""
        context = super().get_context(name, value, attrs)
        label = str(self.attrs.get("aria-label", name))
        choice, *numbers = context["widget"]["subwidgets"]
        for part, what in zip([choice, *numbers], [gettext("override"), *map(str, self.units)], strict=True):
            part["attrs"]["aria-label"] = f"{label}: {what}"
        return {**context, "choice": choice, "numbers": list(zip(numbers, self.units, strict=True))}


class OverrideField(forms.MultiValueField, ABC):
    """A limit that may be overridden; its value is what was ``Said``."""

    numbers: Sequence[tuple[_StrPromise, str]] = ()

    def __init__(self, *, label: Any, help_text: Any = "") -> None:
        choices = [(DECLARED, _("as declared")), (NONE, _("no limit")), (VALUE, _("at most"))]
        inputs = [
            forms.FloatField(required=False, max_value=LONGEST)
            if step == "any"
            else forms.IntegerField(required=False, min_value=1, max_value=MOST)
            for _unit, step in self.numbers
        ]
        super().__init__(
            [forms.ChoiceField(choices=choices, required=False), *inputs],
            widget=OverrideWidget(self.numbers), required=False, require_all_fields=False, label=label, help_text=help_text,
        )  # fmt: skip
        self.widget.attrs["aria-label"] = label
        self.offer(_("as declared"))

    def offer(self, declared: Any) -> None:
        """Have the choice say what "as declared" means."""
        choices = [(DECLARED, declared), (NONE, _("no limit")), (VALUE, _("at most"))]
        self.fields[0].widget.choices = self.widget.widgets[0].choices = choices

    def clean(self, value: Any) -> Any:
        """What is said; a number that does not count may be any, such as the one that is being given up."""
        kind, *numbers = value or [DECLARED]
        return Said(kind or DECLARED, tuple(numbers)) if kind in (DECLARED, NONE, None) else super().clean(value)

    def compress(self, data_list: Sequence[Any]) -> Said:
        if not data_list:
            return Said()
        kind, *numbers = data_list
        if kind == VALUE and None in numbers:
            raise forms.ValidationError(gettext("Enter the number."), code="incomplete")
        return Said(kind, tuple(numbers))

    def said(self, overrides: Mapping[str, Any], name: str) -> Said:
        """What a queue's row says now."""
        if name not in overrides:
            return Said()
        return Said(NONE) if overrides[name] is None else Said(VALUE, self.taken_apart(overrides[name]))

    def override(self, name: str, said: Said) -> dict[str, Any]:
        """What is to be stored of it: nothing where the declared limit holds."""
        if said.kind == DECLARED:
            return {}
        return {name: self.put_together(said) if said.kind == VALUE else None}

    @abstractmethod
    def taken_apart(self, value: Any) -> tuple[Any, ...]:
        """A stored limit as the numbers of the form."""

    @abstractmethod
    def put_together(self, said: Said) -> Any:
        """The limit to be stored."""


def _number(value: Any) -> int | float | None:
    """A stored number; None for what a browser would complain of."""
    return value if type(value) in (int, float) and isfinite(value) else None


class CountField(OverrideField):
    """How many at once."""

    numbers = ((_("at once"), "1"),)

    def taken_apart(self, value: Any) -> tuple[Any, ...]:
        return (_number(value),)

    def put_together(self, said: Said) -> Any:
        return said.numbers[0]


class RateField(OverrideField):
    """How many in which time."""

    numbers = ((_("started in any"), "1"), (_("seconds"), "any"))

    def taken_apart(self, value: Any) -> tuple[Any, ...]:
        given = value if isinstance(value, Mapping) else {}
        return (_number(given.get("limit")), _number(given.get("period")))

    def put_together(self, said: Said) -> Any:
        limit, period = said.numbers
        return {"limit": limit, "period": int(period) if float(period).is_integer() else period}

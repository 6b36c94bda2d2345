"""A field of a form that takes JSON."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

MOST_ROWS = 12


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()  # the field was left empty, which is not null


class JsonField(forms.CharField):
    """A JSON value; empty, where it need not be given, is ``ABSENT``."""

    def __init__(self, *, rows: int = 2, **options: Any) -> None:
        widget = forms.Textarea(
            attrs={"rows": min(rows, MOST_ROWS), "cols": 60, "class": "dw-json-input", "spellcheck": "false"}
        )
        super().__init__(widget=widget, **options)

    def to_python(self, value: Any) -> str:
        """The text, with line ends as they were when it was shown."""
        return str(super().to_python(value)).replace("\r\n", "\n")

    def clean(self, value: Any) -> Any:
        """The value that the text says."""
        text = super().clean(value)
        return read(text) if text else ABSENT


def read(text: str) -> Any:
    """
    The value that a text says.

    :raises ValidationError: if it is not JSON; ``NaN`` is not.
    """
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        reason = _("This is not JSON: %(error)s. A text stands in double quotes.")
        raise ValidationError(reason, params={"error": str(error)[:200]}) from error


def shown(value: Any) -> str:
    """A value as the field shows it."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")

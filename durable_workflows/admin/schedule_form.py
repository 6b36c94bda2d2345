"""The form of a schedule: what it says is checked by the value that ``create_schedule`` makes, and nothing else."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NoReturn

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from durable_workflows.admin import display
from durable_workflows.exceptions import InvalidUse, NotSerializable
from durable_workflows.models import Schedule
from durable_workflows.recurrence import ScheduleInput
from durable_workflows.redaction import redacted
from durable_workflows.serializers import dumps

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[Schedule]  # generic for type checkers only
else:
    ModelForm = forms.ModelForm

DECLARED = (
    "name", "workflow_name", "cron", "interval_seconds", "timezone", "catch_up", "overlap", "jitter_seconds", "starts_at",
    "ends_at", "queue",
)  # fmt: skip
CHANGED_MEANWHILE = _("The schedule was changed meanwhile. Look at it anew, then change it.")
CATCH_UP = (("skip", _("none of them")), ("last", _("the last one")), ("all", _("all of them")))
OVERLAP = (("allow", _("runs beside it")), ("skip", _("is passed over, and counted")))


class ScheduleForm(ModelForm):
    """
    A schedule to be added or changed.

    ``plan`` is the checked value; of a schedule declared in code, which is only paused here, there is none.
    """

    catch_up = forms.ChoiceField(
        choices=CATCH_UP, initial="skip", label=_("Missed ticks"), help_text=_("Which of them start a run after a downtime.")
    )
    overlap = forms.ChoiceField(
        choices=OVERLAP, initial="allow", label=_("Overlap"), help_text=_("A tick, while an earlier run is unfinished.")
    )
    timezone = forms.CharField(
        initial="UTC", required=False, label=_("Time zone"), help_text=_("Of the cron fields: Europe/Berlin, for example.")
    )
    jitter_seconds = forms.FloatField(
        initial=0, required=False, label=_("Jitter (seconds)"), help_text=_("By how much at most a start is put off.")
    )
    context = forms.CharField(
        required=False, label=_("Context"), widget=forms.Textarea(attrs={"rows": 6, "class": "vLargeTextField dw-json"}),
        help_text=_("JSON, given to each run as its second argument."),
    )  # fmt: skip

    revision = forms.CharField(required=False, widget=forms.HiddenInput(attrs={"autocomplete": "off"}))

    class Meta:
        model = Schedule
        fields = (*DECLARED, "context", "paused")
        labels = {"workflow_name": _("Workflow"), "interval_seconds": _("Interval (seconds)")}
        help_texts = {
            "workflow_name": _("Called with (scheduled_time, context). Runs of a name that no worker knows wait visibly."),
            "cron": _("Five fields, or six with seconds first; or leave it empty and give an interval."),
            "interval_seconds": _("At least 1; counted from the start, or from when the schedule was created."),
            "queue": _("Where runs are put; empty: the workflow's queue."),
            "paused": _("No ticks are fired. When it is resumed, it goes on with the next one."),
        }

    plan: ScheduleInput | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stored = self.instance.context
        if self._stored is not None:
            self.initial["context"] = display.pretty(self._stored)
        if not self.instance._state.adding:
            self.initial["revision"] = revision_of(self.instance)

    def clean_context(self) -> str | None:
        """The context as a row holds it; one that was left as it was shown is left as it is."""
        text = self.cleaned_data["context"].replace("\r\n", "\n")
        if text == (self.initial.get("context") or ""):
            return self._stored
        try:
            value = json.loads(text, parse_constant=_refuse) if text.strip() else None
            return None if value is None else dumps(value, what="context")
        except NotSerializable as error:
            raise ValidationError(str(error)) from error
        except (ValueError, RecursionError) as error:
            raise ValidationError(_("This is not JSON: %(error)s"), params={"error": str(error)}) from error

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.instance._state.adding and cleaned.get("revision") != self.initial["revision"]:
            raise ValidationError(CHANGED_MEANWHILE)
        if not self.errors and "workflow_name" in self.fields:
            try:
                self.plan = self._plan(cleaned)
            except (InvalidUse, NotSerializable) as error:
                self.add_error(None, str(error))
        return cleaned

    def _plan(self, cleaned: dict[str, Any]) -> ScheduleInput:
        given: dict[str, Any] = {name: None if cleaned.get(name) == "" else cleaned.get(name) for name in DECLARED}
        given["name"] = given["name"] or self.instance.name
        given["jitter_seconds"] = given["jitter_seconds"] or 0.0
        return ScheduleInput(workflow=given.pop("workflow_name") or "", **given)


def is_editable(context: str | None) -> bool:
    """Whether a context can be changed as JSON: it is short, nothing in it is secret, or is what JSON does not say."""
    if context is None:
        return True
    return len(context) <= display.CLIP and '"$"' not in context and redacted(context) == context


def revision_of(schedule: Schedule) -> str:
    """What the form shows of a row that others may change: not when it was fired, which happens all the time."""
    shown = [getattr(schedule, name) for name in (*DECLARED, "context", "paused")]
    return blake2b(repr(shown).encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")

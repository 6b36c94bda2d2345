"""The form of a queue: what an operator sets beside, or against, what code declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from durable_workflows.admin import wording
from durable_workflows.admin.overriding import DECLARED, VALUE, CountField, OverrideField, RateField
from durable_workflows.exceptions import InvalidUse
from durable_workflows.limits import limits_of
from durable_workflows.models import QueueState
from durable_workflows.queues import valid_name

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[QueueState]
else:  # generic for type checkers only
    ModelForm = forms.ModelForm

CHOICES: dict[str, dict[str, Any]] = {
    "waiting": {"release": "release", "hold": "hold"},
    "partition_queue": {"true": True, "false": False},
}
LIMITS = ("concurrency", "worker_concurrency", "limiter", "waiting")
OF_PARTITIONS = ("partition_queue", "partition_concurrency", "partition_worker_concurrency", "partition_limiter")


class QueueForm(ModelForm):
    """Each limit as declared, lifted, or set to a value; refused as a whole if the limits contradict each other."""

    concurrency = CountField(label=_("Concurrency"), help_text=_("Runs that all workers together execute at a time."))
    worker_concurrency = CountField(label=_("Concurrency of each worker"))
    limiter = RateField(
        label=_("Rate of starts"), help_text=_("In a window that rolls; waking and recovering a run spends nothing.")
    )
    waiting = forms.ChoiceField(
        label=_("While a run waits"), required=False, help_text=_("Whether a suspended run is counted among those at once.")
    )
    partition_queue = forms.ChoiceField(label=_("Partitions"), required=False)
    partition_concurrency = CountField(label=_("Concurrency of each partition"))
    partition_worker_concurrency = CountField(label=_("The same on each worker"))
    partition_limiter = RateField(label=_("Rate of each partition"))
    forget_declared = forms.BooleanField(
        label=_("Forget what is stored as declared"), required=False,
        help_text=_("It cannot be read here. A worker that declares the queue writes it again when it starts."),
    )  # fmt: skip
    revision = forms.IntegerField(widget=forms.HiddenInput(attrs={"autocomplete": "off"}), required=False)

    class Meta:
        model = QueueState
        fields = ("name", "paused")
        help_texts = {"paused": _("Nothing is started or woken; what runs goes on, and what is resumed by hand is run.")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._declared = wording.as_dict(self.instance.declared)
        overrides = wording.as_dict(self.instance.overrides)
        for name in (*LIMITS, *OF_PARTITIONS):
            self._prepare(name, overrides)
        self.initial["revision"] = self.instance.revision

    def _prepare(self, name: str, overrides: Mapping[str, Any]) -> None:
        field = self.fields[name]
        code = wording.word(name, self._declared.get(name, wording.NEUTRAL[name]))
        declared = gettext("as declared: %(limit)s") % {"limit": code}
        if isinstance(field, OverrideField):
            field.offer(declared)
            self.initial[name] = field.said(overrides, name)
        elif isinstance(field, forms.ChoiceField):
            of = CHOICES[name]
            field.choices = [(DECLARED, declared), *((key, wording.word(name, value)) for key, value in of.items())]
            self.initial[name] = next(
                (key for key, value in of.items() if name in overrides and value == overrides[name]), DECLARED
            )

    def clean_name(self) -> str:
        try:
            return valid_name(self.cleaned_data["name"])
        except InvalidUse as error:
            raise forms.ValidationError(str(error)) from error

    def clean(self) -> dict[str, Any]:
        """Refuses limits that contradict each other, and what was changed since it was shown."""
        super().clean()
        cleaned = self.cleaned_data
        if self.instance.pk and not self.instance._state.adding and cleaned.get("revision") != self.instance.revision:
            raise forms.ValidationError(gettext("The queue was changed meanwhile. Look at it anew, then change it."))
        if not self.errors:
            cleaned["overrides"] = self._overrides()
            cleaned["declared"] = None if cleaned.get("forget_declared") else self.instance.declared
        if not self.errors:
            self._check_the_whole()
        return cleaned

    def _overrides(self) -> dict[str, Any] | None:
        found: dict[str, Any] = {}
        for name in (*LIMITS, *OF_PARTITIONS):
            field, said = self.fields[name], self.cleaned_data[name]
            if not isinstance(field, OverrideField):
                found |= {name: CHOICES[name][said]} if said else {}
                continue
            found |= field.override(name, said)
            if said.kind != VALUE and self._typed_in_vain(name, said.numbers):
                self.add_error(name, gettext("A number was entered, but “at most” is not chosen."))
        return found or None

    def _typed_in_vain(self, name: str, numbers: tuple[Any, ...]) -> bool:
        typed = [number or "" for number in numbers]
        shown = ["" if number is None else str(number) for number in self.initial[name].numbers]
        return any(typed) and typed != shown

    def _check_the_whole(self) -> None:
        declared, overrides = self.cleaned_data["declared"], self.cleaned_data["overrides"]
        if declared is not None and not isinstance(declared, Mapping):
            self.add_error(None, gettext("What is stored as declared cannot be read. Have it forgotten."))
            return
        try:
            limits_of({**(declared or {}), **(overrides or {})})
        except InvalidUse as error:
            self.add_error(None, str(error))

    def changes(self) -> str:
        """What is being changed, in English words, for the log."""
        old, new = wording.as_dict(self.instance.overrides), self.cleaned_data["overrides"] or {}
        names = [name for name in (*LIMITS, *OF_PARTITIONS) if (name in old, old.get(name)) != (name in new, new.get(name))]
        parts = [f"{name}: {_told(old, name)} -> {_told(new, name)}" for name in names]
        if "paused" in self.changed_data:
            parts.append("paused" if self.cleaned_data["paused"] else "resumed")
        if self.cleaned_data.get("forget_declared"):
            parts.append("forgot what was declared")
        return "; ".join(parts)


def _told(overrides: Mapping[str, Any], name: str) -> str:
    return f"{overrides[name]!r:.80}" if name in overrides else "as declared"

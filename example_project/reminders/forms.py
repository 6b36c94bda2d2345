"""The form for a new reminder."""

# mypy: disable-error-code="type-arg"
# Django's form classes are generic for type checkers only, not when they run.

from __future__ import annotations

from datetime import timedelta

from django import forms

from example_project.reminders.models import Reminder

UNITS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}


class ReminderForm(forms.ModelForm):
    """Whom to remind of what, and in how long."""

    amount = forms.IntegerField(min_value=0, max_value=5000, initial=10, label="In how many")
    unit = forms.ChoiceField(choices=[(unit, unit) for unit in UNITS], label="Unit of time")

    class Meta:
        model = Reminder
        fields = ["email", "text"]
        labels = {"email": "Email", "text": "Of what"}

    @property
    def wait(self) -> timedelta:
        """How long to wait."""
        return timedelta(seconds=self.cleaned_data["amount"] * UNITS[self.cleaned_data["unit"]])

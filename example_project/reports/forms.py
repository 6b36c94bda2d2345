"""The form for hours that have no report."""

from __future__ import annotations

from datetime import timedelta

from django import forms


class BackfillForm(forms.Form):
    """How far back to look for ticks that were not run."""

    hours = forms.IntegerField(min_value=1, max_value=168, initial=24, label="Make up for the last hours, at most 168")

    @property
    def span(self) -> timedelta:
        """How long that is."""
        return timedelta(hours=self.cleaned_data["hours"])

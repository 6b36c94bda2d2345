"""The form that plays the sender."""

from __future__ import annotations

from django import forms

from example_project.hooks.events import NAME

KINDS = ["parcel.sent", "parcel.delivered", "ping"]
ALTERATIONS = [
    ("", "as it should be"),
    ("tampered", "with a body that was changed after signing"),
    ("late", "with a signature of yesterday"),
]


class SenderForm(forms.Form):
    """Which event to send, how often, and whether to spoil it."""

    kind = forms.ChoiceField(choices=[(kind, kind) for kind in KINDS], label="Event")
    parcel = forms.RegexField(NAME, initial="P-1001", max_length=80, label="Parcel")
    times = forms.IntegerField(min_value=1, max_value=5, initial=3, label="Deliver it so many times")
    alteration = forms.ChoiceField(choices=ALTERATIONS, required=False, label="Send it")

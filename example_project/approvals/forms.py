"""The expense and the answer."""

# mypy: disable-error-code="type-arg"
# Django's form classes are generic for type checkers only, not when they run.

from __future__ import annotations

from django import forms

from example_project.approvals.models import Expense


class ExpenseForm(forms.ModelForm):
    """What was bought, for how much, and who decides."""

    class Meta:
        model = Expense
        fields = ["what", "amount", "employee_email", "approver_email"]
        labels = {"what": "For what", "amount": "Amount in €", "employee_email": "Your email", "approver_email": "Who decides"}


class AnswerForm(forms.Form):
    """The approver's decision."""

    decision = forms.ChoiceField(choices=[("approve", "Approve"), ("reject", "Reject")], widget=forms.RadioSelect)
    note = forms.CharField(max_length=200, required=False, label="A note (optional)")

    @property
    def approved(self) -> bool:
        """Whether the money is paid."""
        return bool(self.cleaned_data["decision"] == "approve")

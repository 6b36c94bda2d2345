"""
Forms that people fill in: a workflow mails a signed link and waits; the form behind the link sends it the answer, once.

::

    @step
    def email_link(address):
        token = make_token(current().workflow_id, "decision", valid_seconds=7 * 86400)
        send_mail("Please decide", SITE + reverse("decide", args=[token]), None, [address])

    class Decide(ApprovalView):
        topic = "decision"

    path("decide/<str:token>/", Decide.as_view(), name="decide")

Opening the link decides nothing, since mail programs open links too: a POST does, with Django's CSRF token. The answer, and
what ``record`` writes beside it, are one transaction.
"""

# mypy: disable-error-code="type-arg"
# Django's views are generic for type checkers only, not when they run.

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ImproperlyConfigured
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_deny
from django.views.decorators.csrf import csrf_protect
from django.views.generic import FormView

from durable_workflows import runtime
from durable_workflows.exceptions import BadLink, ExpiredLink, WorkflowNotFound
from durable_workflows.models import answers, dialects
from durable_workflows.models.answers import Standing
from durable_workflows.models.transactions import in_write_transaction, on_commit
from durable_workflows.serializers import dumps
from durable_workflows.web.tokens import Question, read_token

__all__ = ["ApprovalForm", "ApprovalView"]

HEADERS = {
    # The link is the permission, so no other page may learn it. Under "no-referrer" browsers would say "Origin: null" when they
    # post the form, which Django's CSRF protection refuses.
    "Referrer-Policy": "strict-origin",
    "X-Robots-Tag": "noindex, nofollow",
}
CLOSED = {
    Standing.ANSWERED: "This was answered before. Each question takes one answer.",
    Standing.ENDED: "This has come to its end without an answer.",
}
NOTHING = "This link leads to nothing. Check that it was copied whole."
EXPIRED = "This link is no longer valid."


NOTE = forms.Textarea(attrs={"rows": 3, "cols": 30})  # which fits on a phone, also where no style sheet is served


class ApprovalForm(forms.Form):
    """Yes or no, and a note."""

    decision = forms.ChoiceField(choices=[("approve", "Approve"), ("reject", "Reject")], widget=forms.RadioSelect)
    note = forms.CharField(
        max_length=1000, required=False, label="A note (optional)", widget=forms.Textarea(attrs={"rows": 3, "cols": 30})
    )


@method_decorator([csrf_protect, never_cache, xframe_options_deny], name="dispatch")
class ApprovalView(FormView):
    """
    The page behind a link that ``make_token`` was used for; a ``FormView``, with all that one can be told.

    A changed link is a 404. An expired one is a 410, and so is one whose question was answered before, or whose run has ended.
    """

    topic = ""
    """Under which the run waits for the answer; links for another topic open nothing."""
    title = "Your answer is needed"
    form_class: type[forms.BaseForm] = ApprovalForm
    template_name = "durable_workflows/approval.html"
    done_template_name = "durable_workflows/approval_done.html"
    closed_template_name = "durable_workflows/approval_closed.html"
    success_url: str | None = None
    """Where to go after the answer; None shows ``done_template_name``."""
    http_method_names = ["get", "head", "options", "post"]

    question: Question
    """What the link is about, from before the form is made."""

    def answer_of(self, form: forms.BaseForm) -> Any:
        """The message that the run receives: any value that can be stored. By default the form's cleaned data."""
        return form.cleaned_data

    def record(self, form: forms.BaseForm) -> None:
        """
        Write rows of your own, in the transaction in which the answer is sent; only for the answer that counts.

        A transaction is repeated after a deadlock, so this should do nothing but write to the database.
        """

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Open the link, and show or take the form if its question is still open."""
        response = self._open(request, *args, **kwargs)
        for name, value in HEADERS.items():
            response.headers[name] = value
        return response

    def _open(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not self.topic:
            raise ImproperlyConfigured(f"{type(self).__qualname__} needs a topic: the one under which the run waits in recv().")
        try:
            self.question = read_token(self.kwargs["token"], self.topic)
            found = answers.standing(dialects.connection(), self.question.workflow_id, self.question.key)
        except ExpiredLink:
            return self.closed(EXPIRED)
        except (BadLink, WorkflowNotFound):
            return self.closed(NOTHING, status=404)
        return super().dispatch(request, *args, **kwargs) if found is Standing.OPEN else self.closed(CLOSED[found])

    def form_valid(self, form: forms.BaseForm) -> HttpResponse:
        """Send the answer; of several at once the first counts, and the others are told so."""
        payload = dumps(self.answer_of(form), what=f"answer to {self.question.workflow_id!r}")
        found = in_write_transaction(self._accept, form, payload)
        if found is not Standing.OPEN:
            return self.closed(CLOSED[found])
        if self.success_url:
            return redirect(self.get_success_url())
        return self.page(self.done_template_name, form=form)

    def _accept(self, connection: BaseDatabaseWrapper, form: forms.BaseForm, payload: str) -> Standing:
        run_id, local = self.question.workflow_id, runtime.local()  # which hears of the commit, and hints to the workers
        found = answers.accept(connection, run_id, self.topic, payload=payload, key=self.question.key)
        if found is Standing.OPEN:
            self.record(form)
            on_commit(lambda: local.ring(run_id), using=dialects.alias())
        return found

    def closed(self, reason: str, *, status: int = 410) -> HttpResponse:
        """The page of a link that opens nothing, and why."""
        return self.page(self.closed_template_name, status=status, reason=reason)

    def page(self, template: str, *, status: int = 200, **context: Any) -> HttpResponse:
        """A page without a form to fill in."""
        known = {"view": self, "title": self.title, "question": getattr(self, "question", None)}
        return self.response_class(self.request, [template], {**known, **context}, status=status, using=self.template_engine)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """What the form's page is given: ``form``, ``view``, ``title`` and ``question``."""
        return super().get_context_data(**{"title": self.title, "question": self.question, **kwargs})

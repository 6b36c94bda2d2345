"""The question of what message is to be sent to a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import uuid4

from django import forms
from django.contrib.admin.models import CHANGE
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from durable_workflows import primitives
from durable_workflows.admin.jsonfield import JsonField
from durable_workflows.admin.question import SUGGESTED, AboutRun, Answer, SentBefore, token_field
from durable_workflows.models import Kind, Message, Wait
from durable_workflows.serializers import dumps
from durable_workflows.states import UNFINISHED
from durable_workflows.texts import LONGEST

TOPICS = "dw-topics"


class SendForm(AboutRun):
    """A message for a run; sent once, however often the button is pressed."""

    view, permission, applies_to = "send", "send", UNFINISHED
    title, button = _("Send a message to this workflow run"), _("Send")
    consequence = _("The run receives it where its code calls recv() for the topic. It wakes up if it waits for it.")

    topic = forms.CharField(
        required=False, max_length=LONGEST, strip=False, label=_("Topic"), help_text=_("Empty: none, which is one of its own."),
        widget=forms.TextInput(attrs={"list": TOPICS, "size": 40, "autocomplete": "off"}),
    )  # fmt: skip
    message = JsonField(rows=5, label=_("Message"), help_text=_('As JSON: true, 42, "a text", {"paid": true}.'))
    token = token_field()

    def prepare(self, asked: Mapping[str, str]) -> None:
        awaited = self._awaited()
        self.initial.update(token=f"admin-{uuid4()}", topic=awaited[0] if awaited else "")

    def suggestions(self) -> Mapping[str, Sequence[str]]:
        """The topics that it waits for, and those of what was sent to it."""
        sent = (
            Message.objects.filter(run=self.run).exclude(topic="").order_by("topic").values_list("topic", flat=True).distinct()
        )
        return {TOPICS: list(dict.fromkeys([*self._awaited(), *sent[:SUGGESTED]]))}

    def _awaited(self) -> list[str]:
        waits = Wait.objects.filter(run=self.run, generation=self.run.generation, kind=Kind.RECV).exclude(key="")
        return list(waits.order_by("key").values_list("key", flat=True).distinct()[:SUGGESTED])

    def answer(self) -> Answer:
        topic, key = self.cleaned_data["topic"], self.cleaned_data["token"]
        before = Message.objects.filter(run=self.run, idempotency_key=key).values_list("topic", "payload").first()
        if before is not None:
            return self._sent(before)
        primitives.send(self.run.pk, self.cleaned_data["message"], topic or None, key)
        # The log tells that there was one, and for what; the message itself is a payload.
        told = f"Sent a message, topic {topic!r:.100}." if topic else "Sent a message."
        return Answer(self.run.pk, gettext("The message was sent."), {self.run.pk: (CHANGE, told)})

    def _sent(self, before: tuple[str, str]) -> Answer:
        if before != (self.cleaned_data["topic"], dumps(self.cleaned_data["message"], what="message")):
            raise SentBefore(gettext("This form was sent before, with another message. Send it again to send this one, too."))
        return Answer(self.run.pk, gettext("The message was sent already."), already=True)

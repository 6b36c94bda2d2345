"""The questions of a fork and of a rewind: from which step on, and with what changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django import forms
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.core.exceptions import ValidationError
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from durable_workflows import steering
from durable_workflows.admin import jsonfield
from durable_workflows.admin.arguments import Arguments, arguments_of
from durable_workflows.admin.question import (
    SUGGESTED,
    AboutRun,
    Answer,
    Part,
    SentBefore,
    new_id_field,
    queue_field,
    step_of,
    token_field,
)
from durable_workflows.conf import config
from durable_workflows.engine.starting import stored_arguments
from durable_workflows.exceptions import InvalidUse
from durable_workflows.ids import new_run_id
from durable_workflows.models import StepRun, Worker, WorkflowRun, dialects
from durable_workflows.models.waking import lock
from durable_workflows.options import SetWorkflowID

LAST = 2**31 - 1
SHOWN = 500  # characters of an argument that stays


class ForkForm(AboutRun):
    """Another run that does again what this one did from a step on."""

    view, permission = "fork", "fork"
    title, button = _("Fork this workflow run"), _("Fork")
    consequence = _(
        "A new run is made, that has done what this one did before a step, and does that step and all that follows itself. "
        "This run stays as it is. What its steps did elsewhere is done again by those that are repeated."
    )

    start_step = forms.IntegerField(min_value=1, max_value=LAST, label=_("First step that it does itself"))
    more = jsonfield.JsonField(
        required=False, label=_("More arguments"), help_text=_('By name, as a JSON object: {"express": true}.')
    )
    workflow_id = new_id_field()
    token = token_field()

    def prepare(self, asked: Mapping[str, str]) -> None:
        step = step_of(asked) or failed_step(self.run)
        self.initial.update(start_step=step, token=new_run_id())
        self.fields["start_step"].help_text = name_of(self.run, step)
        self.arguments: Arguments = arguments_of(self.run, self.payloads)
        for each in self.arguments.each:
            if not each.kept:
                field = jsonfield.JsonField(rows=each.text.count("\n") + 1, label=each.label, strip=False)
                self.fields[each.field] = field
                self.initial[each.field] = each.text
        if self.arguments.kept:
            del self.fields["more"]
        self.fields["queue"] = queue_field(_("where this run queues"), [self.run.queue])
        self.fields["app_version"] = version_field(_("the one that would execute this run"))

    def parts(self) -> list[Part]:
        inputs = [*(each.field for each in self.arguments.each), "more"]
        return [
            Part(_("Where"), self.given(["start_step"])),
            Part(_("Input"), self.given(inputs), note=self.arguments.kept, lines=self._kept()),
            Part(_("How"), self.given(["queue", "app_version", "workflow_id"])),
        ]

    def _kept(self) -> list[str]:
        kept = [each for each in self.arguments.each if each.kept]
        return [f"{each.label}: {each.text[:SHOWN]} {each.kept}" for each in kept]

    def clean_more(self) -> Mapping[str, Any]:
        """Arguments that the run has not."""
        more = self.cleaned_data["more"]
        if more is jsonfield.ABSENT:
            return {}
        if not isinstance(more, dict):
            raise ValidationError(_("These are no names and values: write a JSON object."))
        known = {each.place for each in self.arguments.each}
        if twice := known.intersection(more):
            raise ValidationError(_("There is an argument %(name)s already."), params={"name": min(map(str, twice))})
        return more

    def answer(self) -> Answer:
        new_id = self.cleaned_data["workflow_id"] or self.cleaned_data["token"]
        inputs, step = self._inputs(), self.cleaned_data["start_step"]
        told = f"from step {step}{', with another input' if inputs else ''}"
        if before := WorkflowRun.objects.filter(pk=new_id, forked_from=self.run).first():
            return self._forked(before, inputs, told)
        self._fork(new_id, inputs)
        return Answer(
            new_id,
            gettext("This is the fork. It goes on from step %(step)d.") % {"step": step},
            {
                new_id: (ADDITION, f"Forked from {self.run.pk} {told}."),
                self.run.pk: (CHANGE, f"Forked as {new_id} {told}."),
            },
        )

    def _forked(self, fork: WorkflowRun, inputs: Mapping[str, Any], told: str) -> Answer:
        """The step that it began at stands in the log alone, if it was made by such a form."""
        text = f"Forked from {self.run.pk} {told}."
        made = LogEntry.objects.filter(object_id=fork.pk, action_flag=ADDITION).order_by("pk")
        logged = made.values_list("change_message", flat=True).first()
        wanted = stored_arguments(fork.name, (inputs["args"], inputs["kwargs"])) if inputs else self.run.inputs
        if fork.inputs != wanted or logged not in (None, text):
            raise SentBefore(
                gettext("There is a fork of this id already, made with something else: %(id)s. Nothing was forked.")
                % {"id": fork.pk}
            )
        return Answer(fork.pk, gettext("There is a fork of this id already, and this is it."), already=True)

    def _inputs(self) -> dict[str, Any]:
        said, changed = self.cleaned_data, set(self.changed_data)
        values = {each.place: said[each.field] for each in self.arguments.each if each.field in changed}
        return self.arguments.changed(values, said.get("more") or {})

    def _fork(self, new_id: str, inputs: dict[str, Any]) -> None:
        said = self.cleaned_data
        other = {"queue": said["queue"] or None, "app_version": said["app_version"] or None}
        with SetWorkflowID(new_id):
            steering.fork_workflow(self.run.pk, said["start_step"], **other, **inputs)


class RewindForm(AboutRun):
    """This run does again what it did from a step on."""

    view, permission, dangerous = "rewind", "fork", True
    title, button = _("Rewind this workflow run?"), _("Yes, rewind")
    consequence = _(
        "The run goes back to a step, and does it again with all that followed. What is recorded of that is deleted, events "
        "and streams are as they were before it, and messages that were received since can be received again."
    )

    start_step = forms.IntegerField(min_value=1, max_value=LAST, widget=forms.HiddenInput)
    generation = forms.IntegerField(widget=forms.HiddenInput(attrs={"autocomplete": "off"}))

    def prepare(self, asked: Mapping[str, str]) -> None:
        self.step = step_of(asked) or 1
        self.initial.update(start_step=self.step, generation=self.run.generation)

    def told(self) -> list[str]:
        return [*self._told()]

    def _told(self) -> Iterator[str]:
        steps = StepRun.objects.filter(run=self.run, generation=self.run.generation)
        gone = steps.filter(branch="", position__gte=self.step)
        number = gone.count()
        yield name_of(self.run, self.step)
        yield ngettext("%(count)d recorded step is deleted.", "%(count)d recorded steps are deleted.", number) % {
            "count": number
        }
        if children := gone.filter(child_id__isnull=False).values("child_id").distinct().count():
            text = ngettext(
                "%(count)d run that they started stays as it is.",
                "%(count)d runs that they started stay as they are.",
                children,
            )
            yield text % {"count": children}
        yield gettext("What the steps have done elsewhere, a payment or a mail, stays done, and is done again.")

    def answer(self) -> Answer:
        step = self.cleaned_data["start_step"]
        lock(dialects.connection(), [self.run.pk])  # until it is rewound: of two answers the second finds the first
        there = WorkflowRun.objects.filter(pk=self.run.pk).values_list("generation", flat=True).first()
        if there != self.cleaned_data["generation"]:
            raise InvalidUse(gettext("The run was rewound meanwhile. Look at it anew, then rewind it."))
        steering.rewind_workflow(self.run.pk, step)
        told = gettext("The run goes on from step %(step)d.") % {"step": step}
        return Answer(self.run.pk, told, {self.run.pk: (CHANGE, f"Rewound to step {step}.")})


def failed_step(run: WorkflowRun) -> int:
    """Where a fork begins unless somebody says otherwise: at the last step that failed, else at the first."""
    failed = StepRun.objects.filter(run=run, generation=run.generation, branch="", error__isnull=False)
    return failed.order_by("-position").values_list("position", flat=True).first() or 1


def name_of(run: WorkflowRun, step: int) -> str:
    """A step in words."""
    there = StepRun.objects.filter(run=run, generation=run.generation, branch="", position=step)
    name = there.values_list("name", flat=True).first()
    if name is None:
        return gettext("Nothing is recorded of step %(step)d.") % {"step": step}
    return gettext("Step %(step)d is %(name)s.") % {"step": step, "name": name}


def version_field(empty: Any) -> forms.ChoiceField:
    """A choice of the versions that workers have."""
    known = Worker.objects.exclude(app_version="").order_by("app_version").values_list("app_version", flat=True).distinct()
    versions = sorted({*known[:SUGGESTED], config().app_version} - {""})
    return forms.ChoiceField(required=False, label=_("Version"), choices=[("", empty), *((each, each) for each in versions)])

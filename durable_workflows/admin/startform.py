"""The question of which workflow is to be started, with what, and how: what can be started is what code has registered."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from django import forms
from django.contrib.admin.models import ADDITION
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from durable_workflows import options, registry, runtime
from durable_workflows.admin.jsonfield import ABSENT, JsonField
from durable_workflows.admin.parameters import call_of, inputs_of
from durable_workflows.admin.question import Answer, Part, Question, SentBefore, new_id_field, token_field
from durable_workflows.definitions import Workflow
from durable_workflows.engine.starting import stored_arguments
from durable_workflows.exceptions import WorkflowConflict
from durable_workflows.ids import new_run_id
from durable_workflows.models import WorkflowRun
from durable_workflows.options import MOST_PRIORITY, TOO_LONG, SetEnqueueOptions, SetWorkflowAttributes, SetWorkflowID
from durable_workflows.queues import Queue

OPTIONS = ("workflow_id", "queue", "delay", "priority", "partition_key", "attributes")


class StartForm(Question):
    """The arguments of one workflow, and how its run is to be started."""

    view, permission = "start", "start"
    title, button = _("Start a workflow"), _("Start")
    consequence = _("A run is made, and a worker executes it. It is the same as start_workflow() in the code.")

    workflow_id = new_id_field()
    queue = forms.ChoiceField(required=False, label=_("Queue"))
    delay = forms.FloatField(
        required=False, min_value=0, max_value=TOO_LONG, label=_("Delay (seconds)"), help_text=_("Not before then.")
    )
    priority = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=MOST_PRIORITY,
        label=_("Priority"),
        help_text=_("Lower goes first; without one, first."),
    )
    partition_key = forms.CharField(
        required=False, max_length=options.ID_MAX_LENGTH, strip=False, label=_("Partition"),
        help_text=_("Of a queue that has partitions."),
    )  # fmt: skip
    attributes = JsonField(
        required=False, label=_("Attributes"), help_text=_('A JSON object to search by: {"tenant": "acme"}.')
    )
    token = token_field()

    def __init__(self, data: Any = None, *, workflow: Workflow, user: Any) -> None:
        super().__init__(data)
        self.workflow, self.user = workflow, user
        self.inputs = inputs_of(workflow.func)
        for each in self.inputs:
            self.fields[each.field_name] = each.field()
        queues: Any = self.fields["queue"]
        queues.choices = [
            ("", _("that of the workflow: %s") % workflow.queue),
            *((name, name) for name in sorted(Queue.declared)),
        ]
        self.initial["token"] = new_run_id()

    def parts(self) -> list[Part]:
        inputs = self.given(each.field_name for each in self.inputs)
        return [
            Part(_("Input"), inputs, note="" if inputs else _("It takes no arguments.")),
            Part(_("How"), self.given(OPTIONS)),
        ]

    def told(self) -> list[str]:
        doc = (inspect.getdoc(self.workflow.func) or "").partition("\n\n")[0]
        return [self.workflow.name, *([doc] if doc else [])]

    def clean_attributes(self) -> Mapping[str, Any]:
        attributes = self.cleaned_data["attributes"]
        if attributes is ABSENT:
            return {}
        if not isinstance(attributes, dict):
            raise ValidationError(_("Attributes are a JSON object."))
        return attributes

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            self.call = call_of(self.inputs, cleaned, inspect.signature(self.workflow.func))
        return cleaned

    def answer(self) -> Answer:
        said = self.cleaned_data
        workflow_id = said["workflow_id"] or said["token"]
        if before := WorkflowRun.objects.filter(pk=workflow_id).first():
            return self._started(before)
        with ExitStack() as blocks:
            blocks.enter_context(SetWorkflowID(workflow_id))
            blocks.enter_context(options.SetWorkflowUser(self.user))
            blocks.enter_context(SetWorkflowAttributes(said["attributes"]))
            blocks.enter_context(SetEnqueueOptions(
                priority=said["priority"], delay=said["delay"] or None, queue_partition_key=said["partition_key"] or None,
            ))  # fmt: skip
            runtime.here().start(self.workflow, self.call, _on(said["queue"] or self.workflow.queue))
        return Answer(workflow_id, gettext("The workflow was started."), {workflow_id: (ADDITION, "Started.")})

    def _started(self, run: WorkflowRun) -> Answer:
        if run.name != self.workflow.name:
            raise WorkflowConflict(run.pk, run.name, self.workflow.name)
        said = self.cleaned_data
        wanted = stored_arguments(run.name, self.call), dict(said["attributes"]), said["queue"] or self.workflow.queue
        if wanted != (run.inputs, run.attributes or {}, run.queue):
            raise SentBefore(
                gettext("There is a run of this id already, started with something else: %(id)s. Nothing was started.")
                % {"id": run.pk}
            )
        return Answer(run.pk, gettext("There is a run of this id already, and this is it."), already=True)


def _on(queue: str) -> options.StartOptions:
    """The options in force, for a queue that code may not declare."""
    declared = Queue.declared.get(queue)
    return declared.options() if declared else options.taken(queue=queue)


def startable() -> dict[str, Workflow]:
    """The workflows that this process knows, by their names; not methods, which need an instance."""
    known = [each for each in registry.definitions() if isinstance(each, Workflow)]
    return {each.name: each for each in known if next(iter(inspect.signature(each.func).parameters), "") not in ("self", "cls")}

"""Which runs have an attribute of a value, on every database."""

from __future__ import annotations

from typing import Any

from django.db import connections
from django.db.models import QuerySet
from django.db.models.fields.json import KeyTransform

from durable_workflows.models.runs import WorkflowRun


def having(runs: QuerySet[WorkflowRun], key: str, value: Any) -> QuerySet[WorkflowRun]:
    """
    Those of ``runs`` whose attribute ``key`` is ``value``; no index serves it.

    :param value: text, a number or a boolean.
    """
    if key.isdecimal() and connections[runs.db].features.supports_json_field_contains:
        return runs.filter(attributes__contains={key: value})  # a transform would take it for the index of an array
    return runs.alias(attribute=KeyTransform(key, "attributes")).filter(attribute=value)

"""
Model instances travel as references and come back as what their row is today.

A copy of the row would be stale after a month of waiting, and would undo other people's changes when saved.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model
from django.utils.connection import ConnectionDoesNotExist

from durable_workflows.serializers.wire import Unfit


class Reference(NamedTuple):
    """Where a row is: ``app_label.model``, its key, and the alias of its database."""

    label: str
    pk: Any
    alias: str


def reference_to(instance: Model) -> Reference:
    """
    The reference that stands for ``instance``.

    :raises Unfit: with the reason, if no row could be found by it.
    """
    label = instance._meta.label_lower
    if _model(label) is not instance.__class__:  # not type(): ``request.user`` is a lazy object around the instance
        raise Unfit(f"is of a model that is not an installed app's {label!r}")
    if instance.pk is None or instance._state.adding:
        raise Unfit("is a model instance without a row; save it first")
    return Reference(label, instance.pk, instance._state.db or DEFAULT_DB_ALIAS)


def rows_of(references: Iterable[Reference]) -> dict[Reference, Model]:
    """
    The rows that still exist, with one query for each model and database.

    :raises Unfit: with the reason, if a model, a database or the form of a key is unknown.
    """
    wanted: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for label, pk, alias in references:
        wanted[label, alias].append(pk)
    return {Reference(label, pk, alias): row for (label, alias), pks in wanted.items() for pk, row in _fetch(label, alias, pks)}


def _fetch(label: str, alias: str, pks: list[Any]) -> list[tuple[Any, Model]]:
    """The rows, each with its key as it was stored: an instance may hold ``"7"`` where its row says ``7``."""
    model = _model(label)
    if model is None:
        raise Unfit(f"there is no model {label!r}; it was renamed, or its app is not in INSTALLED_APPS")
    try:
        keys = {pk: model._meta.pk.to_python(pk) for pk in pks}
        rows = model._base_manager.using(alias).in_bulk(set(keys.values()))
    except ConnectionDoesNotExist as error:
        raise Unfit(f"DATABASES has no {alias!r}") from error
    except (ValidationError, TypeError) as error:
        raise Unfit(f"a key of {label} is none: {error}") from error
    return [(pk, rows[key]) for pk, key in keys.items() if key in rows]


def _model(label: str) -> type[Model] | None:
    try:
        return apps.get_model(label)
    except (LookupError, ValueError):
        return None

"""A queue's limits in words. Whatever is stored can be worded, also what no limit can be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from durable_workflows.limits import NO_LIMITS, RATES, Limits, Rate
from durable_workflows.models import QueueState
from durable_workflows.models.rules import rules_for

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

LONGEST = 80  # characters of a value that is no limit

# What each limit says, and what its absence says.
WORDS: dict[str, tuple[_StrPromise, _StrPromise]] = {
    "concurrency": (_("at most %(limit)s at once"), _("any number at once")),
    "worker_concurrency": (_("at most %(limit)s at once on each worker"), _("any number at once on each worker")),
    "limiter": (_("at most %(limit)s started in any %(period)s s"), _("any number of starts")),
    "partition_queue": (_("has partitions"), _("no partitions")),
    "partition_concurrency": (_("at most %(limit)s at once of each partition"), _("any number at once of each partition")),
    "partition_worker_concurrency": (
        _("at most %(limit)s at once of each partition on each worker"),
        _("any number at once of each partition on each worker"),
    ),
    "partition_limiter": (
        _("at most %(limit)s of each partition started in any %(period)s s"),
        _("any number of starts of each partition"),
    ),
    "waiting": (_("a waiting run keeps its place"), _("a waiting run gives its place back")),
    "priority_ageing": (_("%(limit)s s of waiting make up for a step of priority"), _("priorities do not age")),
}
NEUTRAL = {field.name: field.default for field in fields(Limits)}


def word(name: str, value: Any) -> str:
    """One limit in words."""
    some, none = WORDS[name]
    if value is None or value is False or value == NEUTRAL[name]:
        return str(none)
    if name == "waiting":
        return str(some) if value == "hold" else f"{value!r:.{LONGEST}}"
    return str(some) % _parts(name, value)


def _parts(name: str, value: Any) -> dict[str, str]:
    if isinstance(value, Rate):
        return {"limit": _number(value.limit), "period": _number(value.period)}
    if name in RATES and isinstance(value, Mapping):
        return {"limit": _number(value.get("limit")), "period": _number(value.get("period"))}
    return {"limit": _number(value), "period": "?"}


def _number(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"{value!r:.{LONGEST}}"


def as_dict(stored: object) -> Mapping[str, Any]:
    """What is stored, as far as it is a dict."""
    return stored if isinstance(stored, Mapping) else {}


def declared(queue: QueueState) -> SafeString | str:
    """What code declares, limit by limit."""
    if queue.declared is None:
        return gettext("Nothing: no worker has declared this queue.")
    given = as_dict(queue.declared)
    known = [word(name, given[name]) for name in WORDS if name in given]
    unknown = [f"{name}: {given[name]!r:.{LONGEST}}" for name in given if name not in WORDS]
    if not isinstance(queue.declared, Mapping):
        unknown.append(f"{queue.declared!r:.{LONGEST}}")
    return _listed([(text, "") for text in [*known, *unknown]]) if known or unknown else gettext("No limits.")


def in_force(queue: QueueState) -> SafeString | str:
    """What holds, limit by limit, and which of it an operator set."""
    its = rules_for(queue)
    if its.problem:
        return format_html('<span class="dw-alarm">{}</span>', its.problem)
    overridden = as_dict(queue.overrides)
    lines = [
        (word(name, getattr(its.limits, name)), _mark(queue, name) if name in overridden else "")
        for name in WORDS
        if name in overridden or getattr(its.limits, name) != getattr(NO_LIMITS, name)
    ]
    return _listed(lines) if lines else gettext("none")


def _mark(queue: QueueState, name: str) -> SafeString:
    code = gettext("In the code: %(limit)s") % {"limit": word(name, as_dict(queue.declared).get(name, NEUTRAL[name]))}
    return format_html(' <span class="dw-pill dw-waiting" title="{}">{}</span>', code, gettext("overridden"))


def _listed(lines: list[tuple[str, SafeString | str]]) -> SafeString:
    return format_html('<ul class="dw-limits">{}</ul>', format_html_join("", "<li>{}{}</li>", lines))

"""
System checks: the mistakes users make, one file per subject.

A message is the problem, its hint the cure, its id is stable; ``docs/checks.md`` has a heading for each id. All carry the
tag ``durable_workflows``; those that query a database run only when Django is told which (``check --database default``,
``migrate``), as Django's own do.
"""

from __future__ import annotations

from django.core import checks

from durable_workflows.checks.databases import check_databases
from durable_workflows.checks.definitions import check_definitions
from durable_workflows.checks.determinism import check_determinism
from durable_workflows.checks.servers import check_servers
from durable_workflows.checks.settings import check_settings

TAG = "durable_workflows"


def register() -> None:
    """Register every check with Django; called once the apps are ready, and harmless when called again."""
    for check in (check_settings, check_databases, check_definitions, check_determinism):
        checks.register(check, TAG)
    checks.register(check_servers, TAG, checks.Tags.database)

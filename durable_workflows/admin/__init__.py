"""
The runs, queues, schedules and workers in Django's admin; loaded by its autodiscovery, and by nothing else.

A project with an admin site of its own registers there too::

    from durable_workflows.admin import register

    register(my_site)
"""

from __future__ import annotations

from django.contrib import admin

from durable_workflows.admin.dashboard import DashboardAdmin
from durable_workflows.admin.queues import QueueAdmin
from durable_workflows.admin.runs import WorkflowRunAdmin
from durable_workflows.admin.schedules import ScheduleAdmin
from durable_workflows.admin.workers import WorkerAdmin
from durable_workflows.models import Dashboard, QueueState, Schedule, Worker, WorkflowRun

__all__ = ["DashboardAdmin", "QueueAdmin", "ScheduleAdmin", "WorkerAdmin", "WorkflowRunAdmin", "register"]


def register(site: admin.AdminSite) -> None:
    """
    Put the pages of this app on an admin site.

    :param site: any ``AdminSite``; ``django.contrib.admin.site`` has them by itself.
    :raises django.contrib.admin.exceptions.AlreadyRegistered: if the site has them already.
    """
    site.register(Dashboard, DashboardAdmin)
    site.register(WorkflowRun, WorkflowRunAdmin)
    site.register(QueueState, QueueAdmin)
    site.register(Schedule, ScheduleAdmin)
    site.register(Worker, WorkerAdmin)


register(admin.site)

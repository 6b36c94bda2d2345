"""When and where runs are executed, never what: threads, leases, polling, housekeeping."""

from __future__ import annotations

from durable_workflows.worker.fleet import Fleet
from durable_workflows.worker.supervisor import Options, Supervisor

__all__ = ["Fleet", "Options", "Supervisor"]

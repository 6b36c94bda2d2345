"""
What a process lends to its direct calls, its waiting clients and its workers: one of each per process.

A direct call's lease belongs to a row of this process that beats while there are any. A forked child starts afresh.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from durable_workflows import registry, signals
from durable_workflows.conf import config
from durable_workflows.engine.services import Conclusion
from durable_workflows.ids import new_worker_id
from durable_workflows.models import checkpoints, dialects, outcomes, sessions
from durable_workflows.models.checkpoints import Checkpoint
from durable_workflows.models.outcomes import Ending
from durable_workflows.models.presence import Presence
from durable_workflows.worker.aside import Aside
from durable_workflows.worker.groups import GroupWriter
from durable_workflows.worker.heart import Heart
from durable_workflows.worker.hints import Hinter
from durable_workflows.worker.hub import Hub

T = TypeVar("T")


class SharedServices:
    """What all attempts of this process share: the group writers and the hub."""

    def __init__(self, local: LocalProcess) -> None:
        self._local = local
        self.inline: set[str] = set()

    def record(self, checkpoint: Checkpoint) -> bool:
        return self._local.checkpoints.write(checkpoint)

    def end(self, ending: Ending) -> bool:
        return self._local.endings.write(ending)

    def leave(self, conclusion: Conclusion) -> bool:
        return False

    def park(self, keys: Sequence[str], seconds: float) -> None:
        self._local.hub.park(keys, seconds)

    def ring(self, run_id: str) -> None:
        self._local.hub.ring(run_id)

    def aside(self, work: Callable[[], T]) -> T:
        return self._local.aside.do(work)

    def may_park(self) -> bool:
        return True

    def stopping(self) -> bool:
        return False

    def holds_lease(self) -> bool:
        return True


class DirectServices(SharedServices):
    """For a direct call: the lease of this process's row, and the memory that all direct calls share."""

    def __init__(self, local: LocalProcess, heart: Heart | None, session: str | None = None) -> None:
        super().__init__(local)
        self.inline = local.calls
        self.worker_id = heart and heart.worker.id
        self.session = session
        self._heart = heart

    def holds_lease(self) -> bool:
        return self._heart is None or self._heart.holds_lease()


class LocalProcess:
    """The services of one process."""

    def __init__(self) -> None:
        self._begin()
        os.register_at_fork(after_in_child=self._begin)
        signals.claimable.connect(self._became_claimable, dispatch_uid="durable_workflows.local", weak=False)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._heart: Heart | None = None
        self.calls: set[str] = set()  # the runs that direct calls are executing, called children among them
        self.hub = Hub()
        self.hinter = Hinter()
        self.aside = Aside()
        self.checkpoints = GroupWriter[Checkpoint](checkpoints.record, checkpoints.record_group)
        self.endings = GroupWriter[Ending](outcomes.end, outcomes.end_group)

    def _became_claimable(self, **kwargs: Any) -> None:
        self.hub.chime()
        self.hinter.hint()

    def services(self) -> DirectServices:
        """The services for one direct call; in a ``TestCase``, whose rows nobody else sees, there is no row to beat."""
        connection = dialects.connection()
        if connection.in_atomic_block:
            return DirectServices(self, None)
        return DirectServices(self, self._beating(), sessions.describe(connection))

    def _beating(self) -> Heart:
        with self._lock:
            if self._heart is not None and not self._heart.holds_lease():
                self._heart.retire()
                self._heart = None
            if self._heart is None:
                heart = Heart(_direct_presence(), memory=self.calls.copy)
                heart.start()
                self._heart = heart
            return self._heart

    def park(self, keys: Sequence[str], seconds: float) -> None:
        """Block until something happens to one of these runs here, or the time is over."""
        self.hub.park(keys, seconds)

    def ring(self, run_id: str) -> None:
        """Tell the waiters of this process that something happened to a run."""
        self.hub.ring(run_id)

    def close(self) -> None:
        """End the heartbeat and the other threads of this process, and their connections; they begin anew when needed."""
        with self._lock:
            heart, self._heart = self._heart, None
        if heart is not None:
            heart.stop()
            heart.loop.join(5)
        self.hinter.close()
        self.aside.close()


def _direct_presence() -> Presence:
    return Presence(
        id=new_worker_id(config().executor_id), hostname=socket.gethostname(), pid=os.getpid(), direct=True,
        lease_seconds=config().lease_seconds, names=tuple(registry.names()), app_version=config().app_version,
    )  # fmt: skip


LOCAL = LocalProcess()

__all__ = ["LOCAL", "DirectServices", "LocalProcess", "SharedServices"]

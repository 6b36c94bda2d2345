"""
Rehearsing workflows in a project's own tests: run what is ready, move the time, lose a worker.

::

    def test_the_reminder_is_sent(self):
        handle = remind.start("ada@example.org", days=30)
        drain()  # it runs until it sleeps
        travel(days=30)
        drain()
        assert len(mail.outbox) == 1
        lose(handle.workflow_id)
        drain()  # replayed: nothing is sent twice
        assert len(mail.outbox) == 1

``drain`` works inside a ``TestCase``'s transaction, in which no other thread sees anything; ``durable_worker`` needs a
``TransactionTestCase``, and is for what several threads do at once.
"""

from __future__ import annotations

from durable_workflows.testing.draining import drain
from durable_workflows.testing.faults import lose
from durable_workflows.testing.journeys import Journey, travel
from durable_workflows.testing.workers import InProcessWorker, durable_worker

__all__ = ["InProcessWorker", "Journey", "drain", "durable_worker", "lose", "travel"]

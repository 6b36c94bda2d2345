"""
A process that talks: messages from outside and from workflows, and events, all numbered.

Run by ``test_broken_connections``, which breaks its connections meanwhile. It says "talking" when it has begun, "and on" some times, after
which it waits for a line to go on, and prints what arrived as one line of JSON in the end. What is sent from outside carries idempotency keys; what a workflow sends does
not need them.

::

    python -m tests.faults.conversation PAIRS EVENTS
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import django
from django.db import connections

EACH = 50  # messages or events of one run
MARK = 10  # numbers after which it asks whether to go on
PATIENCE = 1500  # seconds for the whole


def main(pairs: int, events: int) -> None:
    django.setup()
    from django.core.management import call_command

    from durable_workflows.testing import durable_worker

    call_command("migrate", verbosity=0)
    with durable_worker(threads=6):
        print("talking", flush=True)
        found = talk(pairs, events)
    print(json.dumps(found), flush=True)


def talk(pairs: int, events: int) -> dict[str, Any]:
    """Have it all said, and wait until it was heard; half of the messages come from outside, half from workflows."""
    from tests.faults import talkers

    hearers = [talkers.hears.start(2 * EACH) for _ in range(pairs // (2 * EACH))]
    ids = [hearer.workflow_id for hearer in hearers]
    publishers = [talkers.publishes.start(EACH) for _ in range(events // EACH)]
    senders = [talkers.sends.start(workflow_id, EACH) for workflow_id in ids]
    with ThreadPoolExecutor(2) as outside:
        list(outside.map(send_from_outside, (ids[0::2], ids[1::2]), (True, False)))
    return {
        "heard": [hearer.get_result(PATIENCE) for hearer in hearers],
        "sent": [sender.get_result(PATIENCE) for sender in senders],
        "published": [publisher.get_result(PATIENCE) for publisher in publishers],
        **talkers.left_in_the_rows([publisher.workflow_id for publisher in publishers]),
    }


def send_from_outside(workflow_ids: Sequence[str], asks: bool) -> None:
    """Each number once to each, in order; now and then it is asked whether to go on, so that it is known to be amid it."""
    from durable_workflows import send

    try:
        for number in range(EACH):
            if asks and number % MARK == MARK - 1:
                print("and on", flush=True)
                sys.stdin.readline()
            for workflow_id in workflow_ids:
                send(workflow_id, ["outside", number], idempotency_key=f"outside-{number}")
    finally:
        connections.close_all()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

"""What makes a worker process one of these tests': its drivers are watched, its runs' events go to the ledger."""

from __future__ import annotations

import os
import random

from django.apps import AppConfig

SERVE_FILE = "DURABLE_TEST_SERVE"
SEED = "DURABLE_TEST_SEED"


class FaultsConfig(AppConfig):
    name = "tests.faults"
    label = "tests_faults"

    def ready(self) -> None:
        from tests.faults import drivers, endings, killer, ledger, serving  # noqa: F401 - endings has workflows

        random.seed(os.environ.get(SEED))
        killer.configure(os.environ.get(killer.FAULT, ""))
        drivers.watch()
        ledger.listen()
        if path := os.environ.get(SERVE_FILE):
            serving.follow(path)

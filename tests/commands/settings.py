"""The tests' settings, and the workflows of this directory."""

from __future__ import annotations

from tests.settings import *  # noqa: F403  # settings are taken over whole
from tests.settings import INSTALLED_APPS as APPS

INSTALLED_APPS = [*APPS, "tests.commands"]

"""A project without Django's admin."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.processes import ROOT

SCRIPT = """
import sys
import django
from django.conf import settings

settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "durable_workflows"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)
django.setup()

import durable_workflows.models
from django.core.management import call_command

call_command("check")
loaded = [name for name in sys.modules if name.startswith(("django.contrib.admin", "durable_workflows.admin"))]
assert not loaded, loaded
"""


@pytest.mark.once
def test_the_admin_is_optional() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

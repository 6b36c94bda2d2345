"""The example project under test: its own addresses, templates and middleware, and its files in a place of the test's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_django import Settings

from durable_workflows.models import WorkflowRun
from example_project import settings as example
from example_project.shop.models import Product

WEBHOOK_SECRET = "a secret that only this test shares"


@pytest.fixture(autouse=True)
def example_settings(settings: Settings, tmp_path: Path) -> Settings:
    """The parts of the example's settings that its pages need."""
    settings.ROOT_URLCONF = "example_project.urls"
    settings.TEMPLATES = example.TEMPLATES
    settings.MIDDLEWARE = example.MIDDLEWARE
    settings.STATICFILES_DIRS = example.STATICFILES_DIRS
    settings.EXAMPLE = {"VAR_DIR": tmp_path, "SITE_URL": "https://example.org/", "WEBHOOK_SECRET": WEBHOOK_SECRET}
    return settings


@pytest.fixture
def lamp(db: None) -> Product:
    """A product of which there are five. The shelves may have been cleared by a test before."""
    Product.objects.all().delete()
    return Product.objects.create(sku="lamp", name="Reading lamp", price_cents=4900, stock=5)


@pytest.fixture
def run_ids(db: None) -> Callable[[], list[str]]:
    """Looks up the ids of all runs."""
    return lambda: sorted(WorkflowRun.objects.values_list("id", flat=True))

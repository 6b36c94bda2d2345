"""What an installed package brings: all that stands below it, and nothing beside it."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

import pytest

import durable_workflows
from tests.processes import ROOT

PACKAGE = ROOT / "durable_workflows"
LEFT_BEHIND = {".pyc", ".po"}


@pytest.fixture
def configuration() -> ConfigParser:
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


@pytest.fixture
def homes() -> list[Path]:
    """The directories that ``packages = find:`` sees: each with an ``__init__.py``, as all above it."""
    found = {init.parent for init in PACKAGE.rglob("__init__.py")}
    return [home for home in found if {*home.parents} - {*PACKAGE.parents} <= found]


def test_only_the_package_is_installed(configuration: ConfigParser) -> None:
    assert configuration["options"]["packages"] == "find:"
    assert configuration["options.packages.find"]["include"] == "durable_workflows*"
    assert [path.name for path in ROOT.glob("durable_workflows*") if (path / "__init__.py").exists()] == ["durable_workflows"]


def test_every_file_of_the_package_is_shipped(configuration: ConfigParser, homes: list[Path]) -> None:
    patterns = [pattern.strip() for pattern in configuration["options.package_data"]["*"].split(",")]
    shipped = {file for home in homes for pattern in patterns for file in home.glob(pattern)}
    shipped |= {file for home in homes for file in home.glob("*.py")}
    files = {file for file in PACKAGE.rglob("*") if file.is_file() and file.suffix not in LEFT_BEHIND}
    assert PACKAGE / "py.typed" in shipped
    assert not [str(file.relative_to(ROOT)) for file in files - shipped]


def test_the_version_is_told_once(configuration: ConfigParser) -> None:
    assert configuration["metadata"]["version"] == durable_workflows.__version__

"""The public names: exported, described, documented."""

from __future__ import annotations

import ast
import inspect
import re
from functools import cache

import pytest
from django.dispatch import Signal

import durable_workflows
from durable_workflows import conf, signals
from tests.architecture.source import PACKAGE, modules
from tests.processes import ROOT

EXPORTED = durable_workflows.__all__


def test_all_is_what_the_root_imports() -> None:
    (root,) = (module for module in modules() if module.name == f"{PACKAGE}/__init__.py")
    imports = [node for node in root.tree.body if isinstance(node, ast.ImportFrom) and node.module != "__future__"]
    imported = [alias.asname or alias.name for node in imports for alias in node.names]
    assert sorted(imported) == sorted(EXPORTED)
    assert len(EXPORTED) == len(set(EXPORTED))


@pytest.mark.parametrize("name", EXPORTED)
def test_a_public_name_has_a_docstring(name: str) -> None:
    thing = getattr(durable_workflows, name)
    assert inspect.getdoc(thing), f"{name} has no docstring"
    if inspect.isclass(thing):
        assert "__doc__" in vars(thing), f"{name} only has its base's docstring"
        assert vars(thing)["__doc__"], f"{name} has an empty docstring"


@cache
def headings() -> frozenset[str]:
    """Every name that stands as code in a heading of the README or the docs: ``### `sleep(seconds)` `` names both words."""
    texts = [path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")) if path.exists()]
    without_blocks = [re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL) for text in texts]
    spans = [
        span for text in without_blocks for line in re.findall(r"^#+ .*", text, re.MULTILINE) for span in line.split("`")[1::2]
    ]
    return frozenset(name for span in spans for name in re.findall(r"[\w.]+", span))


def assert_headings(names: list[str]) -> None:
    missing = sorted(set(names) - headings())
    assert not missing, f"No heading in README.md or docs/ names, as code, {', '.join(missing)}"


def test_every_public_name_has_a_heading() -> None:
    assert_headings(EXPORTED)


def test_every_setting_has_a_heading() -> None:
    assert conf.KEYS
    assert_headings(list(conf.KEYS))


def test_every_signal_has_a_heading() -> None:
    names = [name for name, value in vars(signals).items() if isinstance(value, Signal)]
    assert names
    assert_headings(names)


def test_every_command_has_a_heading() -> None:
    names = [path.stem for path in (ROOT / PACKAGE).rglob("management/commands/*.py") if not path.stem.startswith("_")]
    assert "durable_worker" in names
    assert_headings(names)


def test_every_check_has_a_heading() -> None:
    ids = {found for module in modules() for found in re.findall(r"durable_workflows\.[EWI]\d{3}", module.text)}
    assert ids
    assert_headings(sorted(ids))

"""The project's Python files as syntax trees, for tests that read code."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from tests.processes import ROOT

PACKAGE = "durable_workflows"
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One Python file."""

    path: Path

    @property
    def name(self) -> str:
        """Its path below the root, to name it in a message."""
        return str(self.path.relative_to(ROOT))

    @property
    def room(self) -> str:
        """Which part of the package it belongs to: ``engine`` for ``durable_workflows/engine/steps.py``."""
        parts = self.path.relative_to(ROOT).parts
        return parts[1].removesuffix(".py") if len(parts) > 1 else ""

    @cached_property
    def text(self) -> str:
        return self.path.read_text()

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.name)

    @cached_property
    def imported(self) -> dict[str, str]:
        """What each imported name stands for: ``{"sleep": "time.sleep"}``."""
        found: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {(alias.asname or alias.name.split(".")[0]): alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found |= {(alias.asname or alias.name): f"{node.module}.{alias.name}" for alias in node.names}
        return found

    def at(self, node: ast.AST) -> str:
        """The place of ``node``, as editors understand it."""
        return f"{self.name}:{getattr(node, 'lineno', 1)}"

    def meaning(self, node: ast.AST) -> str:
        """The full dotted name that an expression like ``time.sleep`` stands for, or ""."""
        if isinstance(node, ast.Name):
            return self.imported.get(node.id, node.id)
        if isinstance(node, ast.Attribute) and (owner := self.meaning(node.value)):
            return f"{owner}.{node.attr}"
        return ""

    def functions(self) -> Iterator[Function]:
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))


@cache
def modules(*directories: str) -> Sequence[Module]:
    """All files below these directories of the project (the package, when none is named) but migrations."""
    paths = (path for directory in directories or (PACKAGE,) for path in sorted((ROOT / directory).rglob("*.py")))
    return [Module(path) for path in paths if "migrations" not in path.parts]


def outside(*rooms: str) -> list[Module]:
    """The package's files that do not belong to these rooms."""
    return [module for module in modules() if module.room not in rooms]


def length(function: Function) -> int:
    """Lines from ``def`` to the end; decorators are not counted."""
    return (function.end_lineno or function.lineno) - function.lineno + 1

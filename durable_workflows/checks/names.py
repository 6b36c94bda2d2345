"""
What an expression of a function's body names, found out without running any of it.

Names are looked up as Python would do it, in the function's own imports, its closure, its globals and the builtins, so
aliases need no guessing. Local variables name nothing: what they hold is only known at run time. Attributes are read from
modules and classes alone, since an instance may do anything when asked for one.
"""

from __future__ import annotations

import ast
import builtins
import inspect
from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import CodeType, FunctionType, ModuleType
from typing import Any

from durable_workflows.checks.sources import Source


@dataclass(frozen=True, slots=True)
class Path:
    """A dotted name whose object was not looked up, such as one imported in the body."""

    dotted: str


@dataclass(frozen=True, slots=True)
class Names:
    """The names that a function's body sees."""

    imported: Mapping[str, str]
    local: frozenset[str]
    outer: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, source: Source) -> Names:
        """The names in the body of ``source``."""
        function = source.function
        outer = ChainMap(dict(_closure(function)), function.__globals__, vars(builtins))
        return cls(dict(_imported(source)), _local(function.__code__), outer)

    def resolve(self, node: ast.expr) -> Any:
        """The object that an expression names, a ``Path`` where only its dotted name is certain, or None."""
        if isinstance(node, ast.Name):
            return self._name(node.id)
        if isinstance(node, ast.Attribute):
            return member(self.resolve(node.value), node.attr)
        return None

    def _name(self, name: str) -> Any:
        if name in self.imported:
            return Path(self.imported[name])
        return None if name in self.local else self.outer.get(name)


def dotted(target: Any) -> str | None:
    """The dotted name, if that is what a name resolved to."""
    # Here and elsewhere type(), since isinstance() and == would wake up Django's lazy objects.
    return target.dotted if type(target) is Path else None


def member(owner: Any, name: str) -> Any:
    """The attribute of a module or a class; None for that of anything else."""
    if (path := dotted(owner)) is not None:
        return Path(f"{path}.{name}")
    kind = type(owner)
    if issubclass(kind, ModuleType):
        return vars(owner)[name] if name in vars(owner) else Path(f"{owner.__name__}.{name}")
    if issubclass(kind, type):
        return _class_member(owner, name)
    return None


def _class_member(owner: type, name: str) -> Any:
    found = inspect.getattr_static(owner, name, None)
    if type(found) in (staticmethod, classmethod):
        found = found.__func__
    # Functions are what they seem. Other members differ from what getattr() makes of them, so they go by their name.
    return found if type(found) is FunctionType else Path(f"{owner.__module__}.{owner.__qualname__}.{name}")


def _closure(function: FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not assigned yet
            continue


def _imported(source: Source) -> Iterator[tuple[str, str]]:
    for node in source.body():
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                yield (alias.asname, alias.name) if alias.asname else (top, top)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _local(code: CodeType) -> frozenset[str]:
    inner = [_local(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    return frozenset(code.co_varnames + code.co_cellvars).union(*inner)

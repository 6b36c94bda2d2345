"""Sizes that good codebases keep without trying."""

from __future__ import annotations

import ast
from statistics import median

import durable_workflows
from tests.architecture.source import Function, length, modules

PRODUCT = ("durable_workflows", "example_project", "benchmarks")
FILE_LINES, FUNCTION_LINES, PARAMETERS = 400, 50, 9
# "Seldom" is at most one in twenty.
SELDOM, LONG_FILE, LONG_FUNCTION = 0.05, 250, 25


def test_no_file_is_too_long() -> None:
    long = [f"{module.name}: {lines}" for module in modules(*PRODUCT) if (lines := module.text.count("\n")) > FILE_LINES]
    assert not long, f"Over {FILE_LINES} lines: one reason to exist? {long}"


def test_no_function_is_too_long() -> None:
    long = [
        f"{module.at(function)} {function.name}: {length(function)}"
        for module in modules(*PRODUCT)
        for function in module.functions()
        if length(function) > FUNCTION_LINES
    ]
    assert not long, f"Over {FUNCTION_LINES} lines: {long}"


def test_no_function_takes_too_many_parameters() -> None:
    many = [
        f"{module.at(function)} {function.name}: {parameters(function)}"
        for module in modules(*PRODUCT)
        for function in module.functions()
        if parameters(function) > PARAMETERS and function.name not in durable_workflows.__all__
    ]
    assert not many, f"Over {PARAMETERS} parameters (public decorators and filters excepted): {many}"


def parameters(function: Function) -> int:
    named = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return sum(argument.arg not in ("self", "cls") for argument in named)


def test_long_files_and_functions_are_seldom() -> None:
    files = [module.text.count("\n") for module in modules()]
    functions = [length(function) for module in modules() for function in module.functions()]
    assert sum(lines > LONG_FILE for lines in files) <= max(1, len(files) * SELDOM)
    assert sum(lines > LONG_FUNCTION for lines in functions) <= max(1, len(functions) * SELDOM)
    assert median(functions) <= 8


def test_length_and_parameters_are_counted() -> None:
    function = ast.parse("@decorated\ndef f(self, a, /, b, *args, c=1, **kwargs):\n    pass\n    return a").body[0]
    assert isinstance(function, Function)
    assert (length(function), parameters(function)) == (3, 3)

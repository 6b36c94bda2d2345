"""The linters find nothing, and whoever silences one says why."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tokenize

import pytest

from tests.architecture.source import Module, modules
from tests.processes import ROOT

SILENCER = re.compile(
    r"#\s*(?P<rule>noqa\b:?|type:\s*ignore|pragma:|ruff:|pylint:|mypy:)(?P<rest>.*)", re.IGNORECASE | re.DOTALL
)
# Codes, in brackets or not, then the reason.
CODES = re.compile(r"^[:\s]*(\[[^\]]*\]|[A-Z]+\d+(\s*,\s*[A-Z]+\d+)*|no cover)?")


def tool(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *args], cwd=ROOT, capture_output=True, text=True, check=False)


def test_ruff_finds_nothing() -> None:
    ran = tool("ruff", "check", "--no-cache", ".")
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_code_is_formatted() -> None:
    ran = tool("ruff", "format", "--no-cache", "--diff", ".")
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.timeout(400)  # a first run reads all of Django's stubs
def test_mypy_finds_nothing() -> None:
    ran = tool("mypy")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Success" in ran.stdout


def test_every_silenced_rule_states_its_reason() -> None:
    product = modules("durable_workflows", "example_project", "benchmarks")
    silent = [place for module in product for place in unexplained(module.text, module)]
    silent += [place for module in modules("tests") for place in unexplained(module.text, module) if "type:" not in place]
    assert not silent, f"Say why after the code, as in `# noqa: S101 - the reason`: {silent}"


def unexplained(text: str, module: Module | None = None) -> list[str]:
    comments = [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type == tokenize.COMMENT]
    found = [(comment, SILENCER.search(comment.string)) for comment in comments]
    return [
        f"{module.name if module else ''}:{comment.start[0]}: {comment.string}"
        for comment, match in found
        if match and not re.search(r"\w{2,}\W+\w+", CODES.sub("", match["rest"]))
    ]


@pytest.mark.parametrize(
    ("comment", "explained"),
    [
        ("# noqa", False),
        ("# noqa: S101", False),
        ("# noqa: S101, E501 -", False),
        ("# noqa: S101 - the reason", True),
        ("# noqa: S101  the reason", True),
        ("# type: ignore[arg-type]", False),
        ("# type: ignore[arg-type]  # the stubs are wrong", True),
        ("# pragma: no cover", False),
        ("# pragma: no cover - only on Windows", True),
        ("# a plain comment", True),
    ],
)
def test_reasons_are_found(comment: str, explained: bool) -> None:
    assert (not unexplained(f"x = 1  {comment}\n")) is explained

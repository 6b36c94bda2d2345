"""``manage.py durable`` as a test says it."""

from __future__ import annotations

import io
import json
import re
from typing import Any

from django.core.management import CommandError, call_command

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Screen(io.StringIO):
    """A terminal, as far as anybody asks."""

    def isatty(self) -> bool:
        return True


def say(*argv: str, code: int = 0) -> str:
    """What the command writes to a pipe; it must end with this status."""
    out = io.StringIO()
    _call(argv, out, code)
    return out.getvalue()


def on_screen(*argv: str, code: int = 0) -> str:
    """What it writes to a terminal, with the escapes that colour it."""
    out = Screen()
    _call(argv, out, code)
    return out.getvalue()


def ask(*argv: str, code: int = 0) -> Any:
    """The one JSON document that it writes."""
    return json.loads(say(*argv, "--json", code=code))


def lines(*argv: str, code: int = 0) -> list[dict[str, Any]]:
    """The JSON documents that it writes, one a line."""
    return [json.loads(line) for line in say(*argv, "--json", code=code).splitlines()]


def refusal(*argv: str, code: int = 1) -> str:
    """Why it does not do it, as people are told; as JSON it is the same."""
    told = ask(*argv, code=code)["error"]["message"]
    try:
        call_command("durable", *argv, stdout=io.StringIO())
    except CommandError as error:
        assert (str(error), error.returncode) == (told, code)
        return str(error)
    raise AssertionError(f"{argv} was not refused")


def _call(argv: tuple[str, ...], out: io.StringIO, code: int) -> None:
    came = 0
    try:
        call_command("durable", *argv, stdout=out)
    except SystemExit as end:
        assert isinstance(end.code, int)
        came = end.code
    assert came == code, f"{argv} ended with {came}: {out.getvalue()}"

"""The post: what is sent stands in a file."""

from __future__ import annotations

from pathlib import Path

OUT = Path(__file__).resolve().parent.parent / "letters.log"


def post(address: str, text: str) -> None:
    """Send ``text`` to an address."""
    with OUT.open("a") as out:
        out.write(f"{address}: {text}\n")

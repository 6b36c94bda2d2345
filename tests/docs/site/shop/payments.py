"""A payment provider, outside the database: a charge that is asked for again under its key is the same charge."""

from __future__ import annotations

import hashlib
from pathlib import Path

BOOKS = Path(__file__).resolve().parent.parent / "payments.log"


class Declined(Exception):
    """The provider says no, and will say so again."""


def charge(cents: int, *, key: str) -> str:
    """Charge ``cents``; returns the charge's reference."""
    if cents > 1_000_000:
        raise Declined(f"{cents / 100:.2f} is too much for this card")
    reference = f"ch_{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    with BOOKS.open("a") as books:
        books.write(f"{reference} {cents}\n")
    return reference


def refund(reference: str) -> None:
    """Give the money of a charge back; again is not twice."""
    if reference not in refunded():
        with BOOKS.open("a") as books:
            books.write(f"refund {reference}\n")


def refunded() -> list[str]:
    """The references whose money was given back."""
    lines = BOOKS.read_text().splitlines() if BOOKS.exists() else []
    return [line.removeprefix("refund ") for line in lines if line.startswith("refund ")]

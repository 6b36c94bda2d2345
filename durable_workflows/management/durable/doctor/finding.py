"""One thing that is wrong."""

from __future__ import annotations

from dataclasses import dataclass

ERROR, WARNING, INFO = LEVELS = ("error", "warning", "info")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    What the doctor says.

    :param id: a stable name; that of the system check where one found it.
    :param level: "error": runs do not go on, or are in danger; "warning": somebody should look; "info": good to know.
    :param what: is wrong, in a sentence.
    :param why: it matters.
    :param cure: a command to type or a setting to set.
    """

    id: str
    level: str
    what: str
    why: str
    cure: str


def listed(names: list[str], most: int = 5) -> str:
    """Names in a sentence."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def runs_of(number: int, most: int) -> str:
    """So many runs, counted no further than ``most``."""
    return f"more than {most:,} runs" if number > most else "1 run" if number == 1 else f"{number:,} runs"

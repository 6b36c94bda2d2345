"""On what it was measured."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path


def described() -> dict[str, str]:
    """The machine, and how busy it was when the run began."""
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": str(len(os.sched_getaffinity(0))),
        "processor": _field("/proc/cpuinfo", "model name"),
        "memory": f"{int(_field('/proc/meminfo', 'MemTotal').split()[0] or 0) / 1024 / 1024:.0f} GB",
        "system": platform.platform(terse=True),
        "load at the start": f"{os.getloadavg()[0]:.2f}",
    }


def _field(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:  # not a Linux
        return "0"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "0")

"""A contender's process: ``python -m benchmarks.process NAME URL``, then requests on stdin and answers on stdout."""

from __future__ import annotations

import json
import os
import sys
import traceback
from dataclasses import asdict
from importlib import import_module
from typing import Any

from benchmarks.contenders.base import Contender


def main(name: str, url: str) -> None:
    """Serve requests until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not be taken for an answer
    contender: Contender = import_module(f"benchmarks.contenders.{name}").CONTENDER(url)
    answers.write(json.dumps({"hello": asdict(contender.hello())}) + "\n")
    for line in sys.stdin:
        answers.write(json.dumps(_answer(contender, json.loads(line))) + "\n")
    contender.close()


def _answer(contender: Contender, request: dict[str, Any]) -> dict[str, Any]:
    try:
        measured = getattr(contender, request["operation"])(*request["args"])
    except Exception:  # noqa: BLE001  whatever it is, the conductor is told and ends the run
        return {"error": traceback.format_exc()}
    return {"measured": measured.to_json() if measured else None}


if __name__ == "__main__":
    main(*sys.argv[1:])

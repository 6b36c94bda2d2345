"""
Runs a document's blocks in the reader's project: ``python -m tests.docs.session blocks.json``, the project on the path.

A worker, a process of its own, is started before and stopped after. Tracebacks name the document and its line.
"""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import django
from django.core import checks
from django.core.management import call_command

STOPPING_SECONDS = 30
_EXPECTED = re.compile(r"#\s*->\s*(?P<value>.+?)\s*$")
_RAISES = re.compile(r"#\s*raises\s+(?P<name>\w+)\s*$")


def main(path: Path) -> int:
    """Run the blocks of a JSON file; the exit status says whether each did what it says."""
    blocks = json.loads(path.read_text())
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)
    found = [message for message in checks.run_checks(databases=["default"]) if "durable_workflows" in (message.id or "")]
    if found:
        print("The project's settings are found fault with:", *found, sep="\n")
        return 1
    with _worker() as worker:
        failed = _run(blocks)
    if worker and worker.returncode:
        print(f"The worker ended with {worker.returncode}.")
    return int(failed or bool(worker and worker.returncode))


@contextmanager
def _worker() -> Iterator[subprocess.Popen[bytes] | None]:
    """A worker of the project, if it has any workflows; it is stopped as an operator would."""
    if not Path("shop/workflows.py").exists():
        yield None
        return
    from durable_workflows.models import Worker  # the settings are there by now

    worker = subprocess.Popen([sys.executable, "-W", "error", "manage.py", "durable_worker", "--no-reload"])
    try:
        while worker.poll() is None and not Worker.objects.filter(direct=False).exists():
            time.sleep(0.05)
        yield worker
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(STOPPING_SECONDS)


def _run(blocks: list[dict[str, Any]]) -> bool:
    # A module, so that the functions a block defines have one, as in any other program.
    module = ModuleType("session")
    sys.modules["session"] = module
    for block in blocks:
        try:
            _run_block(block, vars(module))
        except BaseException:  # noqa: BLE001  # whatever a block raises is what the document does not say
            traceback.print_exc()
            print(f"FAILED: {block['document']}:{block['line']}\n{block['code']}")
            return True
    return False


def _run_block(block: dict[str, Any], namespace: dict[str, Any]) -> None:
    lines = block["code"].splitlines()
    tree = ast.parse(block["code"])
    for statement in tree.body:
        comment = lines[(statement.end_lineno or statement.lineno) - 1]
        expected, raises = _EXPECTED.search(comment), _RAISES.search(comment)
        ast.increment_lineno(statement, block["line"] - 1)
        if expected:
            assert isinstance(statement, ast.Expr), f"only an expression has a value: {comment}"
            value = eval(compile(ast.Expression(statement.value), block["document"], "eval"), namespace)
            assert repr(value) == expected["value"], f"{comment.strip()} is {value!r}"
        elif raises:
            _expect(raises["name"], compile(ast.Module([statement], []), block["document"], "exec"), namespace)
        else:
            exec(compile(ast.Module([statement], []), block["document"], "exec"), namespace)


def _expect(name: str, code: Any, namespace: dict[str, Any]) -> None:
    try:
        exec(code, namespace)
    except BaseException as error:
        names = [cls.__name__ for cls in type(error).__mro__]
        if name not in names:
            raise
        return
    raise AssertionError(f"{name} was not raised")


if __name__ == "__main__":
    os.chdir(os.environ["PROJECT"])
    sys.exit(main(Path(sys.argv[1])))

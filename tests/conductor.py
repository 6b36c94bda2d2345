"""
One command, every database: a plain ``pytest`` runs itself once per database and adds up what the runs found.

The outer pytest is the conductor. It finds or starts the servers, then starts one child pytest per database with the same
arguments, two at a time, each line of their output marked with its database. A child deals its tests out to two processes
with a database each (pytest-xdist), as half of them wait rather than work. Tests that need no database are left
to the quickest of the children. A child knows itself by ``DURABLE_TEST_DATABASE``; with that set by hand, pytest runs plainly on that one
database. See ``tests.databases`` for the variables that name databases and servers.

``DURABLE_TEST_SERIAL=1``
    One child after the other, each in one process and with the terminal to itself (as are ``-s`` and ``--pdb``).
``DURABLE_TEST_ONCE=0/2``
    Of the tests that need no database, run this share of so many, counted from 0: other runs have the others.
``DURABLE_TEST_SAMPLES=all``
    All cases of the tests of which a run of the whole suite draws a part; see ``tests.sampling``.
``DURABLE_TEST_LEVEL=REPEATABLE READ``
    The level of isolation at which long interleavings are run; see ``tests.engine.isolation``.
``DURABLE_TEST_TOTALS``
    A file for the totals of the last line, as JSON.

A database that was asked for and did not run is a failure, never a silent omission.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests import databases
from tests.children import Child
from tests.reporting import in_words

AT_ONCE = 2
# Of each child. Whoever is done takes from the other what that has not begun: tests differ by a factor of a thousand.
PROCESSES = 2


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Conduct, unless this process is a child, or asked for information only."""
    if os.environ.get("DURABLE_TEST_DATABASE") or _only_informs(config):
        return None
    with ExitStack() as cleanup, _terminable():
        directory = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="durable-run-")))
        children = [_child(name, config, directory, cleanup) for name in _asked_for()]
        _deal_out([child for child in children if not child.problem])
        try:
            _run(children, serially=_wants_the_terminal(config))
        except KeyboardInterrupt:
            _stop(children)
            print("\ninterrupted")
            return int(pytest.ExitCode.INTERRUPTED)
    return _sum_up(children, whole=_is_whole(config))


def _deal_out(children: Sequence[Child]) -> None:
    """To the one that is done first: SQLite, which has fewer levels of isolation to try; else to all alike."""
    if "DURABLE_TEST_ONCE" in os.environ:
        return
    quickest = [child for child in children if child.name == "sqlite"] or children
    others = [child for child in children if child not in quickest]
    for number, child in enumerate(quickest):
        child.env["DURABLE_TEST_ONCE"] = f"{number}/{len(quickest)}"
    for child in others:
        child.env["DURABLE_TEST_ONCE"] = "1/1"  # a share that no test falls into


def _only_informs(config: pytest.Config) -> bool:
    options = ("help", "version", "collectonly", "markers", "showfixtures", "show_fixtures_per_test", "cacheshow", "setupplan")
    return any(config.getoption(option, None) for option in options)


def _wants_the_terminal(config: pytest.Config) -> bool:
    alone = config.getoption("usepdb", False) or config.getoption("trace", False) or config.getoption("capture") == "no"
    return bool(alone or os.environ.get("DURABLE_TEST_SERIAL"))


def _is_dealt_out(config: pytest.Config) -> bool:
    """Whether it is worth while: two more processes take longer to start than a few tests to run."""
    few = config.args_source is config.ArgsSource.ARGS
    return (
        not few
        and not _wants_the_terminal(config)
        and config.pluginmanager.has_plugin("xdist")
        and not config.getoption("numprocesses")
    )


def _is_whole(config: pytest.Config) -> bool:
    chosen = config.getoption("keyword") or config.getoption("markexpr") != "not slow" or config.getoption("lf", False)
    return config.args_source is not config.ArgsSource.ARGS and not chosen


def _asked_for() -> list[str]:
    given = os.environ.get("DURABLE_TEST_DATABASES", "")
    names = [name.strip() for name in given.split(",") if name.strip()] or list(databases.DEFAULT)
    if unknown := [name for name in names if name not in databases.KNOWN]:
        raise pytest.UsageError(f"DURABLE_TEST_DATABASES={given}: {unknown[0]!r} is none of {', '.join(databases.KNOWN)}.")
    return list(dict.fromkeys(names))


def _child(name: str, config: pytest.Config, directory: Path, cleanup: ExitStack) -> Child:
    child = Child(name, _arguments(name, config), cwd=config.invocation_params.dir, directory=directory)
    try:
        child.env |= _server(name, child, cleanup)
    except Exception as error:  # noqa: BLE001 - whatever keeps a server from starting belongs in the summary, beside what ran
        child.problem = f"no server: {error}"
    return child


def _server(name: str, child: Child, cleanup: ExitStack) -> dict[str, str]:
    if name == "sqlite":
        return {}
    url = databases.configured(name, os.environ)
    if not url:
        child.origin = "installed from the package index"
        url = cleanup.enter_context(databases.own_postgresql())
    databases.reach(url)
    return {databases.URL_VARIABLE[name]: url}


def _arguments(name: str, config: pytest.Config) -> list[str]:
    args = [*config.invocation_params.args]
    if config.pluginmanager.has_plugin("cacheprovider"):
        args.append(f"--override-ini=cache_dir=.pytest_cache/{name}")
    if config.getoption("color") == "auto" and sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        args.append("--color=yes")
    if _is_dealt_out(config):
        args += [f"--numprocesses={PROCESSES}", "--dist=worksteal"]
    if xml := config.getoption("xmlpath", None):
        args.append(f"--junit-xml={Path(xml).with_suffix('')}-{name}.xml")
    return [str(arg) for arg in args]


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends the children and servers too."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(children: Sequence[Child], *, serially: bool) -> None:
    ready = [child for child in children if not child.problem]
    if serially or len(ready) == 1:
        for child in ready:
            child.run_on_the_terminal()
        return
    slots = threading.Semaphore(AT_ONCE)
    threads = [threading.Thread(target=child.run_beside_others, args=(slots,), daemon=True) for child in ready]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        for thread in threads:
            thread.join(0.5)
        for child in ready:
            child.end_if_it_hangs()


def _stop(children: Sequence[Child]) -> None:
    for child in children:
        child.interrupt()
    for child in children:
        child.end()


def _sum_up(children: Sequence[Child], *, whole: bool) -> int:
    if whole or any(child.report.version for child in children):
        for child in children:
            child.must_have_used_its_database(whole=whole)
    print("\n" + " databases ".center(100, "="))
    for child in children:
        for test, why in child.report.failures:
            print(f"FAILED on {child.name}: {test} - {why}"[:400])
    for child in children:
        print(child.in_words())
    total: Counter[str] = sum((child.counts() for child in children), Counter())
    if path := os.environ.get("DURABLE_TEST_TOTALS"):
        Path(path).write_text(json.dumps(total))
    print(in_words(total), flush=True)
    return _exit_code(children)


def _exit_code(children: Sequence[Child]) -> int:
    statuses = {child.status for child in children}
    if any(child.problem for child in children):
        return int(pytest.ExitCode.TESTS_FAILED)
    if statuses == {int(pytest.ExitCode.NO_TESTS_COLLECTED)}:
        return int(pytest.ExitCode.NO_TESTS_COLLECTED)
    return max(statuses - {int(pytest.ExitCode.NO_TESTS_COLLECTED)})

"""``manage.py demo`` as a newcomer runs it: real processes, a real SIGKILL, nothing left behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from example_project.demo.script import STATEMENTS
from example_project.demo.show import Wish
from example_project.demo.stage import VARIABLE
from tests.processes import Processes

pytestmark = pytest.mark.once  # it brings its own SQLite file
SECONDS = 100


@pytest.fixture
def demos(tmp_path: Path) -> Iterator[Processes]:
    """Starts demos as from a shell that knows nothing of these tests; their temporary directories are the test's."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("DJANGO_", "DURABLE_"))}
    started = Processes(clean | {"TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"})
    yield started
    started.close()


def demo(demos: Processes, *args: str) -> subprocess.Popen[bytes]:
    return demos.manage("demo", *args)


def left_behind(directory: Path) -> list[psutil.Process]:
    """The processes that play below a directory."""
    return [process for process in psutil.process_iter() if str(directory) in environ(process).get(VARIABLE, "")]


def environ(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ() if process.status() != psutil.STATUS_ZOMBIE else {}
    except psutil.Error:
        return {}  # gone, or another user's


def eventually(holds: Callable[[], bool]) -> bool:
    until = time.monotonic() + SECONDS
    while not holds() and time.monotonic() < until:
        time.sleep(0.05)
    return holds()


def test_every_effect_is_there_once_and_a_wrong_one_is_found(demos: Processes, tmp_path: Path) -> None:
    """Three demos at once, on ports of their own: at a random statement, at the very last, and with a forged payment."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        seeded = demo(demos, "--once", "--port", port)
        last = demo(demos, "--once", "--port", port, "--statement", str(STATEMENTS))
        forged = demo(demos, "--once", "--port", port, "--directory", str(tmp_path / "forged"))
        forge_a_payment(tmp_path / "forged" / "demo.sqlite3")
        codes = [process.wait(SECONDS) for process in (seeded, last, forged)]
    said = [demos.output(process) for process in (seeded, last, forged)]
    assert codes == [0, 0, 1], said
    for text in said:
        assert re.search(r"seed \d+: a worker will be killed before statement \d+", text)
        assert re.search(r"worker \d+ died by SIGKILL in step \d+ of the checkout of Ada: its transaction was open", text)
        assert re.search(r"Ada's checkout +done · recovered", text)
        assert f":{port}/" not in text
    assert "every effect is there exactly as often as promised" in said[0]
    assert "before COMMIT" in said[1]
    assert "✗ Emmy's, card declined: booked 1 times, not 0" in said[2]
    assert not left_behind(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["forged"]


def forge_a_payment(database: Path) -> None:
    """What a broken engine would leave: a payment booked for an order whose card was declined."""
    sql = (
        "INSERT INTO shop_ledgerentry (order_id, amount_cents, reference, created_at)"
        " SELECT id, 1, 'forged', created_at FROM shop_order WHERE run_id = 'checkout-emmy'"
    )

    def done() -> bool:
        try:
            with closing(sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True, timeout=20)) as books, books:
                return books.execute(sql).rowcount == 1
        except sqlite3.OperationalError:
            return False  # no file, or no table, yet

    until = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < until, "the order to be forged never came"
        time.sleep(0.02)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_demo_that_is_ended_leaves_no_process_and_no_file(
    demos: Processes, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    process = demo(demos)
    demos.expect(process, "was posted", SECONDS)
    assert len(left_behind(tmp_path)) >= 3
    process.send_signal(number)
    assert process.wait(SECONDS) == status
    assert eventually(lambda: not left_behind(tmp_path))
    assert eventually(lambda: not list(tmp_path.iterdir()))


def test_a_demo_that_cannot_start_says_why_and_leaves_nothing(demos: Processes, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    wrong = {
        "is not empty": ("--directory", str(tmp_path / "full")),
        "No free port": ("--port", "65536"),
        "--statement is a number from 1": ("--statement", "0"),
    }
    started = {why: demo(demos, *args) for why, args in wrong.items()}
    for why, process in started.items():
        assert process.wait(SECONDS) == 1
        assert why in demos.output(process)
    assert not left_behind(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_a_wish_to_end_that_comes_amid_a_destructor_is_not_forgotten() -> None:
    class Last:
        def __del__(self) -> None:
            with pytest.raises(KeyboardInterrupt):
                wish.come(signal.SIGINT, None)  # where Python would only say that it ignored it

    wish = Wish()
    wish.look()
    Last()
    with pytest.raises(KeyboardInterrupt):
        wish.look()
    with pytest.raises(SystemExit, match="143"):
        wish.come(signal.SIGHUP, None)

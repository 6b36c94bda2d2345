"""What the checks read in the source of workflows and steps, and what they must not take for a mistake."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent, indent

import pytest
from django.core.checks import CheckMessage

from durable_workflows import registry
from durable_workflows.checks.determinism import check_determinism

IMPORTS = """\
import asyncio, os, random, secrets, socket, subprocess, threading, time, uuid
import concurrent.futures
import datetime as calendar
import urllib.request
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime as dt
from os import urandom
from random import choice, random as draw
from time import sleep as nap
from django.core.mail import send_mail
from django.db import transaction
from django.db.transaction import atomic
from django.utils import timezone
from django.utils.functional import SimpleLazyObject
from django.utils.timezone import now
import durable_workflows as DBOS
from durable_workflows import Queue, get_event, recv, send, sleep, start_workflow, step, transaction as one_transaction, workflow
from tests.app.models import Ledger

queue = Queue("checked")
lazy = SimpleLazyObject(lambda: 1 / 0)
clock = timezone.now

@step
def charge(*args): return 1

@workflow
def child(*args): return 1

class Shop:
    @staticmethod
    @step
    def pay(): return 1
"""

Load = Callable[[str], list[CheckMessage]]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Imports a module of this source, alone in the registry, and returns what the check finds in it."""
    monkeypatch.setattr(registry, "_definitions", {})
    monkeypatch.syspath_prepend(tmp_path)

    def load(source: str) -> list[CheckMessage]:
        (tmp_path / "checked.py").write_text(IMPORTS + source)
        importlib.invalidate_caches()
        importlib.import_module("checked")
        return check_determinism()

    yield load
    sys.modules.pop("checked", None)


def workflow_of(body: str) -> str:
    return f"@workflow\ndef flow(order, items=()):\n{indent(dedent(body), '    ')}\n"


def step_of(body: str) -> str:
    return f"@step\ndef do(order):\n{indent(dedent(body), '    ')}\n"


def ids(messages: list[CheckMessage]) -> list[str]:
    return [str(message.id).partition(".")[2] for message in messages]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("dt.now()", "W040"),
        ("calendar.datetime.now(calendar.UTC)", "W040"),
        ("dt.utcnow()", "W040"),
        ("x = date.today()", "W040"),
        ("if time.time() > 5: pass", "W040"),
        ("timezone.now()", "W040"),
        ("charge(now())", "W040"),
        ("clock()", "W040"),
        ("time.localtime()", "W040"),
        ("from datetime import datetime\ndatetime.now()", "W040"),
        ("import time as t\nt.monotonic()", "W040"),
        ("random.random()", "W041"),
        ("draw()", "W041"),
        ("choice(items)", "W041"),
        ("sorted(items, key=lambda item: random.random())", "W041"),
        ("[random.randint(1, 6) for _ in items]", "W041"),
        ("random.Random()", "W041"),
        ("secrets.token_hex(4)", "W041"),
        ("uuid.uuid4()", "W041"),
        ("str(uuid.uuid1())", "W041"),
        ("urandom(8)", "W041"),
        ("os.urandom(8)", "W041"),
        ("import requests\nrequests.post('https://localhost')", "W042"),
        ("import httpx\nwith httpx.Client() as client: pass", "W042"),
        ("urllib.request.urlopen('https://localhost')", "W042"),
        ("subprocess.run(['true'])", "W042"),
        ("socket.create_connection(('localhost', 1))", "W042"),
        ("send_mail('a', 'b', None, [])", "W042"),
        ("with open('f', 'w') as f: pass", "W042"),
        ("open('f', mode='ab')", "W042"),
        ("os.remove('f')", "W042"),
        ("threading.Thread(target=charge).start()", "W043"),
        ("with ThreadPoolExecutor() as pool: pool.submit(charge)", "W043"),
        ("concurrent.futures.ProcessPoolExecutor()", "W043"),
        ("asyncio.create_task(charge())", "W043"),
        ("asyncio.run(charge())", "W043"),
        ("Ledger.objects.create(run_id='r')", "W044"),
        ("Ledger.objects.filter(run_id='r').exclude(step='s').update(note='n')", "W044"),
        ("Ledger.objects.all().delete()", "W044"),
        ("Ledger._default_manager.bulk_create([])", "W044"),
        ("order.lines.get_or_create(item=1)", "W044"),
        ("order.save()", "W044"),
        ("order.save(update_fields=['note'])", "W044"),
        ("order.customer.delete()", "W044"),
        ("row = Ledger()\nrow.save()", "W044"),
        ("with transaction.atomic():\n    charge(order)", "W045"),
        ("with atomic(using='default'):\n    sleep(5)", "W045"),
        ("with atomic():\n    if order:\n        DBOS.send('r', 1)", "W045"),
        ("with atomic():\n    charge.start(order)", "W045"),
        ("with atomic():\n    queue.enqueue(charge, order)", "W045"),
        ("with atomic():\n    Shop.pay()", "W045"),
        ("from durable_workflows import recv as wait\nwith atomic():\n    wait()", "W045"),
        ("with atomic():\n    with atomic():\n        charge()", "W045"),
        ("with atomic():\n    DBOS.continue_as_new(order)", "W045"),
        ("time.sleep(5)", "W046"),
        ("nap(5)", "W046"),
    ],
)
def test_a_mistake_in_a_workflow_body(load: Load, body: str, expected: str) -> None:
    assert ids(load(workflow_of(body))) == [expected]


@pytest.mark.parametrize(
    "body",
    [
        "return charge(order)",
        "sleep(5)",
        "DBOS.sleep(5)",
        "recv('paid', timeout_seconds=60)",
        "dt(2026, 1, 1)",
        "dt.fromisoformat(order)",
        "time.strftime('%Y', time.localtime(0))",
        "random.Random(order).random()",
        "uuid.uuid5(uuid.NAMESPACE_URL, order)",
        "uuid.UUID(order)",
        "urllib.parse.quote(order)",
        "open('f').read()",
        "open('f', 'rb')",
        "open('f', order)",
        "subprocess.CalledProcessError(1, 'true')",
        "order.now()",
        "order.random.choice()",
        "order['time'].time()",
        "time = order\ntime.time()",
        "def now(): return 1\nnow()",
        "[random.choice() for random in items]",
        "{}.update(a=1)",
        "found = set()\nfound.update(items)",
        "order.update(note='n')",
        "order.delete('key')",
        "order.image.save('name.png', items)",
        "order.save('name.png')",
        "os.path.join('a', 'b')",
        "lazy.now()",
        "order().save()",
        "Ledger.objects.filter(run_id='r').count()",
        "Ledger.objects.get(run_id='r')",
        "with atomic():\n    Ledger.objects.count()",
        "with atomic:\n    DBOS.current()",
        "with order.atomic():\n    charge()",
        "undefined_name.now()",
        "def helper():\n    return dt.now()\nreturn charge(helper)",
        "class Local:\n    made = dt.now()\n",
        "charge('dt.now()')  # dt.now()",
    ],
)
def test_what_is_no_mistake(load: Load, body: str) -> None:
    assert ids(load(workflow_of(body))) == []


@pytest.mark.parametrize(
    "body",
    [
        "sleep(5)",
        "recv()",
        "recv(timeout_seconds=0)",
        "child(order)",
        "get_event('r', 'k', 5)",
        "get_event('r', 'k', 5, 0)",
        "DBOS.get_event('r', 'k')",
        "DBOS.wait_all([])",
        "charge.start().get_result()",
        "queue.enqueue(charge, 1).get_result(timeout=5)",
        "from durable_workflows import sleep_until\nsleep_until(order)",
        "DBOS.select(recv='topic')",
        "from durable_workflows import read_stream\nlist(read_stream('r', 'k'))",
        "DBOS.read_stream('r', 'k', 0, 5)",
    ],
)
def test_waiting_in_a_step(load: Load, body: str) -> None:
    [message] = load(step_of(body))
    assert message.id == "durable_workflows.W047"
    assert message.msg.startswith("The step 'checked.do' waits with ")


@pytest.mark.parametrize(
    "body",
    [
        "return dt.now()",
        "random.random()",
        "Ledger.objects.create(run_id='r')",
        "time.sleep(1)",
        "open('f', 'w')",
        "send('r', 1)",
        "start_workflow(charge)",
        "with atomic():\n    order.save()",
        "order.get_result()",
        "get_event('r', 'k', 0)",
        "DBOS.get_event('r', 'k', timeout_seconds=0)",
        "child.start(order)",
        "DBOS.read_stream('r', 'k', timeout_seconds=0)",
        "DBOS.read_stream('r', 'k', 0, 0)",
        "DBOS.write_stream('k', 1)",
        "DBOS.send_many([])",
        "charge(order)",
    ],
)
def test_a_step_may_do_what_a_body_may_not(load: Load, body: str) -> None:
    assert ids(load(step_of(body))) == []


IN_A_LOOP = "for row in DBOS.durable_each(Ledger.objects.all()):\n    "


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("row.save()", []),
        ("charge(row)", []),
        ("send('r', 1)", []),
        ("Ledger.objects.create(run_id='r')", []),
        ("row.seen = timezone.now()", []),
        ("continue", []),
        ("for part in items:\n        break", []),
        ("def helper():\n        return 1", []),
        ("sleep(5)", ["W047"]),
        ("recv()", ["W047"]),
        ("child(row)", ["W047"]),
        ("break", ["W048"]),
        ("return row", ["W048"]),
        ("break  # durable: ok", []),
        ("if row:\n        break", ["W048"]),
        ("for part in items:\n        return part", ["W048"]),
        ("pass\nelse:\n    recv()", []),
        ("pass\nrow.save()", ["W044"]),
    ],
)
def test_the_body_of_a_loop_over_many_rows_is_read_like_a_step(load: Load, statement: str, expected: list[str]) -> None:
    assert ids(load(workflow_of(IN_A_LOOP + statement))) == expected


def test_a_body_that_is_one_transaction_as_a_whole(load: Load) -> None:
    source = "@workflow\n@transaction.atomic\ndef flow():\n    pass\n"
    [message] = load(source)
    assert message.id == "durable_workflows.W045"
    assert "transaction.atomic" in message.msg


def test_a_method_is_read_like_a_function(load: Load) -> None:
    found = load(
        'class Flows:\n    @workflow\n    def flow(self):\n        """At\n0."""\n        self.save()\n        dt.now()\n'
    )
    assert ids(found) == ["W040"]


def test_a_name_of_the_enclosing_function_is_known(load: Load) -> None:
    source = "def make():\n    from time import time as tick\n    @workflow\n    def flow():\n        tick()\n    return flow\nmake()\n"
    assert ids(load(source)) == ["W040"]


def test_the_function_beneath_other_decorators_is_read(load: Load) -> None:
    source = """
from functools import wraps
def traced(function):
    @wraps(function)
    def call(*args): return function(*args)
    return call

@workflow
@traced
def flow():
    return dt.now()
"""
    assert ids(load(source)) == ["W040"]


def test_a_message_says_where_what_and_what_to_do(load: Load) -> None:
    [message] = load(workflow_of("\n\ncharge(timezone.now())"))
    line = IMPORTS.count("\n") + 5
    assert str(message.obj).endswith(f"checked.py:{line}")
    assert message.msg == (
        "The workflow 'checked.flow' reads the clock with timezone.now(). When its body is replayed it reads another time,"
        " and may take another path."
    )
    assert "@step" in (message.hint or "")


def test_a_line_can_say_that_it_is_meant_so(load: Load) -> None:
    body = """
    dt.now()  # durable: ok
    timezone.now(
    )  # only for the log  # durable: ok
    now()
    """
    [message] = load(workflow_of(body))
    assert " now()" in message.msg


@pytest.mark.parametrize("source", ["flow = workflow(name='f')(lambda order: dt.now())\n", "workflow(name='g')(len)\n"])
def test_what_has_no_readable_source_is_passed_over(load: Load, source: str) -> None:
    assert load(source) == []


def test_code_without_a_file_is_passed_over(load: Load) -> None:
    assert load("exec('@workflow\\ndef flow():\\n    dt.now()\\n')\n") == []


def test_a_file_that_was_edited_meanwhile_is_passed_over(load: Load, tmp_path: Path) -> None:
    assert ids(load(workflow_of("dt.now()"))) == ["W040"]
    (tmp_path / "checked.py").write_text("def broken(:\n")
    assert check_determinism() == []


def test_our_own_modules_are_loaded_by_no_check(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ftplib", raising=False)
    load(workflow_of("pass"))
    assert "ftplib" not in sys.modules

"""Whatever is sent, the answer is one that the document knows, and the rows stay as they were."""

from __future__ import annotations

import json
import random
from urllib.parse import quote

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import Settings

from durable_workflows.api.table import ENDPOINTS
from durable_workflows.models import WorkflowRun
from tests.api.conftest import Asker, problem
from tests.api.requests import SHOP, Rows, make_rows, sample

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("anybody_is_root")]
GOOD = {"workflow": SHOP}
EVIL = (
    "", " ", "\0", "\ud800", "\udfff\ud800", "' OR 1=1 --", '"; DROP TABLE durable_workflows_workflowrun; --', "<script>alert(1)</script>",
    "../../etc/passwd", "%00", "%2e%2e/", "{{7*7}}", "${jndi:ldap://x}", "\u202e", "\r\nSet-Cookie: a=b", "a" * 300, "é" * 255, "\U0001f4a9",
    "null", "true", "-1", "1e400", "0x10", "9" * 400, "[]", "{}", '{"$":"type"}', "os.system", "__import__('os')", "\x7f\x1b[31m", "/", "//",
    ".", "..", "a/steps", "a/cancel", "?", "#", "%", "&", "=", ";", "\\", "'", '"', "`", "\u2028", "\ufeff", "İ", "ß", "٣",
)  # fmt: skip


def hostile(number: int) -> list[str]:
    """So many strings: the known ones, and mixtures of them."""
    chance = random.Random(20_300_131)
    mixed = ("".join(chance.choices(EVIL, k=chance.randint(1, 3))) for _ in range(number))
    return [*EVIL, *mixed][:number]


def test_5000_hostile_strings() -> None:
    """In addresses, queries and bodies, five in a request; none breaks a header, and none has another answer than JSON."""
    ask, rows = Asker(), make_rows()
    places = (
        lambda a, b, c, d, e: ask.get(f"runs/{a}?{b}={c}&{d}={e}"),
        lambda a, b, c, d, e: ask.get(f"runs?user={a}&name={b}&queue_name={c}&workflow_id_prefix={d}&executor_id={e}"),
        lambda a, b, c, d, e: ask.get(f"runs/{rows.done}/steps?cursor={a}&branch={b}&step_id={c}&limit={d}&raw={e}"),
        lambda a, b, c, d, e: ask.get(f"runs/{rows.done}/events?key={a}"),
        lambda a, b, c, d, e: ask.get(f"schedules/{a}"),
        lambda a, b, c, d, e: ask.post(f"queues/{a}/pause"),
    )
    bodies = (
        lambda a, b, c, d, e: ask.post(
            "runs", GOOD | {"workflow_id": a, "args": [b], "kwargs": {"note": c}, "attributes": {d: e}}
        ),
        lambda a, b, c, d, e: ask.post("runs", {a: b, "workflow": c, "queue": d, "deduplication_id": e}),
        lambda a, b, c, d, e: ask.post(f"runs/{rows.waiting}/send", {"message": {a: [b, c]}, "topic": d, "idempotency_key": e}),
        lambda a, b, c, d, e: ask.post("bulk/cancel", {"workflow_ids": [a, b, c, d, e]}),
        lambda a, b, c, d, e: ask.post("runs/unknown/fork", {"start_step": 1, "queue": a, "app_version": b, "args": [c, d, e]}),
    )
    statuses: set[int] = set()
    texts = hostile(5000)
    for number in range(0, len(texts), 5):
        five = texts[number : number + 5]
        encoded = [quote(text, safe="", errors="surrogatepass") for text in five]
        at = number // 5
        response = bodies[at // 2 % 5](*five) if at % 2 else places[at // 2 % 6](*encoded)
        statuses.add(response.status_code)
        assert response.status_code in (200, 201, 400, 404, 405, 409), (number, five, response.content)
        assert response.headers["Content-Type"] in ("application/json", "application/problem+json")
        json.loads(response.content)
        assert set(response.headers) <= HEADERS
    assert statuses >= {200, 201, 400, 404}
    assert WorkflowRun.objects.filter(pk=rows.done, status="SUCCESS").exists()


HEADERS = {
    "Content-Type", "Cache-Control", "X-Content-Type-Options", "Allow", "ETag", "Location", "Content-Length", "Vary",
    "X-Frame-Options", "Referrer-Policy", "Cross-Origin-Opener-Policy",
}  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(EVIL),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.just("$"), inner, max_size=3),
    max_leaves=8,
)
WRITING = [endpoint for endpoint in ENDPOINTS if endpoint.method == "POST"]


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_bodies_of_any_kind(data: st.DataObject) -> None:
    """A good body in which some members are something else; a body that is something else."""
    rows = make_rows() if not WorkflowRun.objects.exists() else None
    endpoint = data.draw(st.sampled_from(WRITING))
    wanted = sample(endpoint, rows or known_rows())
    names = [field.name for field in endpoint.body] + ["unknown"]
    changes = data.draw(st.dictionaries(st.sampled_from(names), VALUES, min_size=1, max_size=2))
    body = {**(wanted.body or {}), **changes} if data.draw(st.integers(0, 9)) else data.draw(VALUES)
    response = Asker().post(wanted.path, json.dumps(body).encode())
    allowed = {*endpoint.statuses, 400, 404, 409, 413}
    assert response.status_code in allowed, (endpoint.name, body, response.content)
    if response.status_code >= 400:
        problem(response, response.status_code, response.json()["type"].rpartition(":")[2])


def known_rows() -> Rows:
    by_name = dict(WorkflowRun.objects.order_by("-created_at").values_list("name", "pk"))
    return Rows(by_name[SHOP], by_name["tests.api.site.fails"], by_name["tests.api.site.waits"])


def test_bodies_that_are_no_json() -> None:
    ask, rows = Asker(), make_rows()
    before = WorkflowRun.objects.count()
    bad: list[tuple[bytes, str, int]] = [
        (b"", "application/json", 400), (b"{", "application/json", 400), (b"[]", "application/json", 400),
        (b'"x"', "application/json", 400), (b"\xff\xfe", "application/json", 400), (b'{"workflow":NaN}', "application/json", 400),
        (b'{"workflow":"x","workflow":"y"}', "application/json", 400), (b"[" * 100_000, "application/json", 400),
        (b'{"workflow":"x","args":' + b"[" * 150 + b"]" * 150 + b"}", "application/json", 400),
        (b'{"workflow":"x","args":[' + b"9" * 5000 + b"]}", "application/json", 400),
        (json.dumps(GOOD | {"args": [1e308 * 10]}).replace("Infinity", "1e999").encode(), "application/json", 400),
        (b"workflow=x", "application/x-www-form-urlencoded", 415), (b"x", "multipart/form-data", 415),
        (b"<a/>", "text/xml", 415), (b"{}", "", 415), (b"{}", "application/json-seq", 415),
    ]  # fmt: skip
    for body, kind, status in bad:
        response = ask.client.generic("POST", "/durable/api/runs", body, kind)
        problem(response, status, "bad-request" if status == 400 else "unsupported-media-type")
    squeezed = ask.post("runs", GOOD, **{"Content-Encoding": "gzip"})
    problem(squeezed, 415, "unsupported-media-type")
    chunked = ask.client.generic("POST", f"/durable/api/runs/{rows.done}/cancel", HTTP_TRANSFER_ENCODING="chunked")
    problem(chunked, 415, "unsupported-media-type")
    said = {"CONTENT_TYPE": "application/json", "HTTP_TRANSFER_ENCODING": "chunked"}
    problem(ask.client.generic("POST", f"/durable/api/runs/{rows.done}/cancel", **said), 400, "bad-request")
    assert WorkflowRun.objects.count() == before
    for kind in ("application/json; charset=utf-8", "Application/JSON"):
        assert ask.client.generic("POST", "/durable/api/runs", json.dumps(GOOD), kind).status_code == 201
    for kind in ("", "application/x-www-form-urlencoded", "application/json"):
        assert ask.client.generic("POST", f"/durable/api/runs/{rows.done}/cancel", CONTENT_TYPE=kind).status_code == 200


def test_what_is_too_large_is_not_read(settings: Settings) -> None:
    settings.DURABLE_WORKFLOWS = {**settings.DURABLE_WORKFLOWS, "PAYLOAD_MAX_BYTES": 1000}
    ask = Asker()
    problem(ask.post("runs", GOOD | {"args": ["x" * 1001]}), 413, "too-large")
    problem(ask.post("runs", GOOD | {"args": ["x" * 200_000]}), 413, "too-large")
    lying = ask.client.generic("POST", "/durable/api/runs", b"{}", "application/json", CONTENT_LENGTH="99999999999")
    problem(lying, 413, "too-large")
    assert ask.post("runs", GOOD | {"args": ["x" * 900]}).status_code == 201


def test_methods_and_addresses_that_there_are_not() -> None:
    ask = Asker()
    for method, path, allowed in (
        ("PUT", "runs", "GET, HEAD, POST"), ("POST", "queues", "GET, HEAD"), ("GET", "bulk/cancel", "POST"),
        ("OPTIONS", "runs/x", "DELETE, GET, HEAD"), ("TRACE", "openapi.json", "GET, HEAD"), ("PATCH", "runs/x/cancel", "POST"),
    ):  # fmt: skip
        response = ask(method, path)
        problem(response, 405, "method-not-allowed")
        assert response.headers["Allow"] == allowed
    for path in ("", "nothing", "runs/", "bulk/", "bulk/start", "queues/", "\n", "openapi.json/x"):
        problem(ask.get(path), 404, "not-found")


def test_rows_that_no_engine_wrote_are_told() -> None:
    """A queue whose limits cannot be read, a state that nobody knows."""
    ask = Asker()
    make_rows()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE durable_workflows_queuestate SET overrides = %s", ['{"concurrency": -1}'])
    told = ask.get("queues/parcels").json()
    assert (told["paused"], "concurrency" in told["problem"]) == (False, True)

"""A webhook takes what its sender signed, lately; each event becomes one run, however often it is delivered."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.http import HttpRequest
from django.test import Client, RequestFactory
from pytest_django import Settings

from durable_workflows import InvalidUse, NotSerializable, WorkflowConflict, WorkflowNotFound, cancel_workflow, get_result
from durable_workflows.testing import drain, travel
from durable_workflows.web.webhooks import WebhookEvent, webhook
from tests.app.models import Ledger
from tests.processes import Processes
from tests.web import site
from tests.web.site import BODY, SECRET, TIMED, deliver

EVENT = {"id": "evt-1", "type": "ping"}
RunIds = Callable[[], list[str]]
db = pytest.mark.django_db
committing = pytest.mark.django_db(transaction=True)


def answer_of(response: Any) -> tuple[int, bytes]:
    return response.status_code, response.content


def handled(run_id: str) -> int:
    return Ledger.objects.filter(run_id=run_id, step="handled").count()


@db
class TestWhatIsAccepted:
    def test_a_signed_event_starts_a_run_with_its_data(self, sender: Client, run_ids: RunIds) -> None:
        assert answer_of(deliver(sender, EVENT)) == (202, b'{"accepted": "evt-1"}')
        assert run_ids() == ["carrier-evt-1"]
        drain()
        assert get_result("carrier-evt-1", 1) == EVENT

    def test_a_repetition_is_answered_alike_and_never_run_again(self, sender: Client, run_ids: RunIds) -> None:
        answers = {answer_of(deliver(sender, EVENT)) for _ in range(3)}
        drain()
        answers |= {answer_of(deliver(sender, EVENT)) for _ in range(2)}
        drain()
        assert answers == {(202, b'{"accepted": "evt-1"}')}
        assert run_ids() == ["carrier-evt-1"]
        assert handled("carrier-evt-1") == 1
        assert Ledger.objects.filter(step="delivered").count() == 5

    def test_a_repetition_with_other_content_changes_nothing(self, sender: Client) -> None:
        deliver(sender, EVENT)
        assert deliver(sender, EVENT | {"type": "pong"}).status_code == 202
        drain()
        assert get_result("carrier-evt-1", 1) == EVENT

    def test_a_repetition_of_what_was_cancelled_starts_nothing(self, sender: Client) -> None:
        deliver(sender, EVENT)
        cancel_workflow("carrier-evt-1")
        assert deliver(sender, EVENT).status_code == 202
        drain()
        assert handled("carrier-evt-1") == 0

    def test_the_function_may_return_the_argument(self, sender: Client) -> None:
        deliver(sender, EVENT | {"wish": "other argument"})
        drain()
        assert get_result("carrier-evt-1", 1) == "another argument"

    def test_two_senders_do_not_share_ids(self, sender: Client, run_ids: RunIds) -> None:
        deliver(sender, EVENT)
        body = json.dumps(EVENT).encode()
        headers = {"X-Hub-Signature-256": BODY.sign(body, SECRET), "X-Delivery": "evt-1"}
        assert sender.post("/git/", body, content_type="application/json", headers=headers).status_code == 202
        assert run_ids() == ["carrier-evt-1", "git-evt-1"]

    @pytest.mark.parametrize("found", ["x" * 247, "Ünï 7", "<script>", "a'b\"c", 7, 10**30, -1, "evt-1 "])
    def test_an_id_of_any_printable_text_or_an_integer(self, sender: Client, run_ids: RunIds, found: str | int) -> None:
        response = deliver(sender, {"id": found})
        assert response.status_code == 202
        assert response.json() == {"accepted": str(found)}
        assert response.headers["Content-Type"] == "application/json"
        assert run_ids() == [f"carrier-{found}"]

    def test_ids_differ_by_case_and_spaces(self, sender: Client, run_ids: RunIds) -> None:
        for found in ("a", "A", "a ", " a", "ä"):
            deliver(sender, {"id": found})
        assert len(run_ids()) == 5

    @pytest.mark.parametrize(
        "more",
        [{"__type__": "x"}, {"$": {"$": 1}}, {"deep": [[[[[{"a": None}]]]]]}, {"nul": "a\0b"}, {"": 1.5}, {"big": 10**300},
         {"emoji": "🚚"}, {"type": "datetime", "value": "2020"}, {"tuple": [1, 2]}],
    )  # fmt: skip
    def test_data_of_any_shape_arrives_as_it_was(self, sender: Client, more: dict[str, Any]) -> None:
        assert deliver(sender, EVENT | more).status_code == 202
        drain()
        assert get_result("carrier-evt-1", 1) == EVENT | more

    def test_bytes_and_several_secrets_while_one_is_replaced(self, sender: Client, settings: Settings) -> None:
        settings.CARRIER_SECRET = [b"new", SECRET]
        for number, secret in enumerate(["new", SECRET]):
            assert deliver(sender, {"id": number}, secret=secret).status_code == 202
        settings.CARRIER_SECRET = ("new",)
        assert deliver(sender, {"id": 2}).status_code == 401

    def test_any_of_several_signatures(self, sender: Client) -> None:
        good = TIMED.sign(json.dumps(EVENT).encode(), SECRET)
        stamp, _, digest = good.partition(",")
        assert deliver(sender, EVENT, header=f"{stamp},v1={'0' * 64},{digest},v0=other").status_code == 202


@db
class TestWhatIsRefused:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"body": b'{"id": "evt-2", "type": "ping"}'},
            {"body": b""},
            {"secret": "another secret"},
            {"header": ""},
            {"header": "v1=00"},
            {"header": "t=1,v1="},
            {"header": "t=1"},
            {"header": "t=²,v1=00"},
            {"header": "t=-1,v1=00"},
            {"header": f"t={'9' * 30},v1=00"},
            {"header": "t=1,v1=é"},
            {"header": "t=1,t=2,v1=00"},
            {"header": ",=,==,t"},
            {"header": "x" * 100_000},
        ],
    )
    def test_what_the_sender_did_not_sign(self, sender: Client, run_ids: RunIds, wrong: dict[str, Any]) -> None:
        response = deliver(sender, EVENT, **wrong)
        assert response.status_code == 401
        assert SECRET not in response.content.decode()
        assert run_ids() == []
        assert not Ledger.objects.exists()

    def test_each_changed_character_of_the_signature(self, sender: Client) -> None:
        body = json.dumps(EVENT).encode()
        header = TIMED.sign(body, SECRET)
        for place in range(2, len(header)):
            changed = header[:place] + ("0" if header[place] != "0" else "1") + header[place + 1 :]
            assert deliver(sender, body, header=changed).status_code == 401, changed

    @pytest.mark.parametrize("away", [-400, 400])
    def test_a_signature_of_another_time(self, sender: Client, run_ids: RunIds, away: int) -> None:
        assert deliver(sender, EVENT, at=int(time.time()) + away).status_code == 401
        assert run_ids() == []

    def test_a_recorded_request_after_the_window(self, sender: Client) -> None:
        body = json.dumps(EVENT).encode()
        header = TIMED.sign(body, SECRET)
        assert deliver(sender, body, header=header).status_code == 202
        with travel(seconds=400):
            assert deliver(sender, body, header=header).status_code == 401

    @pytest.mark.parametrize(
        "body",
        [b"", b"no json", b"[]", b'"text"', b"null", b"7", b"\xff\xfe", b'{"id": "\xe4"}', '{"id": "a"}'.encode("utf-16"),
         b"\xef\xbb\xbf{}", b"[" * 9000, b'{"id":' * 1000 + b"1" + b"}" * 1000, b'{"id": "a", "id": "b"}',
         b'{"id": "a", "x": {"y": 1, "y": 1}}', b'{"id": "a", "x": NaN}', b'{"id": "a", "x": -Infinity}', b'{"id": "a", "x": 1e999}',
         b'{"id": ' + b"9" * 5000 + b"}", b'{"id": "a"} {}', b"{}", b'{"ID": "a"}', b'{"id": ""}', b'{"id": "  "}', b'{"id": null}',
         b'{"id": true}', b'{"id": 1.5}', b'{"id": ["a"]}', b'{"id": {"a": 1}}', b'{"id": "a\\u0000b"}', b'{"id": "a\\nb"}',
         b'{"id": "\\u202e"}', b'{"id": "\\ud800"}', b'{"id": "\\u2028"}', b'{"id": "' + b"x" * 248 + b'"}'],
        ids=lambda body: body[:24],
    )  # fmt: skip
    def test_a_signed_body_that_is_no_event(self, sender: Client, run_ids: RunIds, body: bytes) -> None:
        response = deliver(sender, body)
        assert response.status_code == 400
        assert response.json()["error"]
        assert run_ids() == []
        assert not Ledger.objects.exists()

    def test_what_can_be_read_but_not_stored(self, sender: Client, settings: Settings, run_ids: RunIds) -> None:
        settings.DURABLE_WORKFLOWS = {"PAYLOAD_MAX_BYTES": 1000}
        assert deliver(sender, EVENT | {"more": "x" * 2000}).status_code == 400
        assert run_ids() == []
        assert not Ledger.objects.exists()

    def test_a_body_that_is_too_long(self, sender: Client) -> None:
        filler = len(json.dumps({"id": "a", "x": ""}))
        assert deliver(sender, {"id": "a", "x": "x" * (10_000 - filler)}).status_code == 202
        assert deliver(sender, {"id": "a", "x": "x" * (10_001 - filler)}).status_code == 413

    @pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
    def test_a_form(self, sender: Client, kind: str) -> None:
        assert deliver(sender, b'{"id": "a"}', kind=kind).status_code == 415

    @pytest.mark.parametrize("kind", ["", "text/plain", "application/cloudevents+json", "text/plain; charset=latin-1"])
    def test_json_by_another_name_is_taken(self, sender: Client, kind: str) -> None:
        assert deliver(sender, EVENT, kind=kind).status_code == 202

    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
    def test_another_method(self, sender: Client, method: str) -> None:
        response = sender.generic(method, "/carrier/")
        assert response.status_code == 405
        assert response.headers["Allow"] == "POST"

    def test_what_the_function_refuses(self, sender: Client, run_ids: RunIds) -> None:
        response = deliver(sender, EVENT | {"wish": "refuse"})
        assert response.status_code == 400
        assert response.json() == {"error": "<not wanted>"}
        assert response.headers["Content-Type"] == "application/json"
        assert run_ids() == []
        assert not Ledger.objects.exists()

    def test_an_id_that_another_workflow_has(self, sender: Client, run_ids: RunIds) -> None:
        assert deliver(sender, EVENT).status_code == 202
        assert deliver(sender, EVENT, "/confused/").status_code == 409
        assert Ledger.objects.count() == 1
        assert run_ids() == ["carrier-evt-1"]

    @pytest.mark.parametrize(
        "body", [b"{}", b"[]", b"7", b"null", b'{"event": "text"}', b'{"event": {}}', b'{"event": {"id": null}}']
    )
    def test_an_id_that_is_looked_up_where_there_is_none(self, body: bytes) -> None:
        @webhook(
            site.handle, sender="deep", secret=lambda: "s", signature=BODY, event_id=lambda request, data: data["event"]["id"]
        )
        def view(request: HttpRequest, event: WebhookEvent) -> None: ...

        headers = {"X-Hub-Signature-256": BODY.sign(body, "s")}
        assert view(RequestFactory().post("/", body, content_type="application/json", headers=headers)).status_code == 400

    def test_a_missing_id_in_a_header(self, sender: Client, run_ids: RunIds) -> None:
        for headers in ({}, {"X-Delivery": ""}, {"X-Delivery": "a\tb"}):
            signed = {"X-Hub-Signature-256": BODY.sign(b"{}", SECRET), **headers}
            assert sender.post("/git/", b"{}", content_type="application/json", headers=signed).status_code == 400
        assert run_ids() == []

    @pytest.mark.parametrize("header", ["", "sha256=", "sha1=00", "sha256=" + "0" * 64, "{digest}", "sha256={digest}00"])
    def test_a_signature_of_the_body_that_is_none(self, sender: Client, header: str) -> None:
        digest = BODY.sign(b"{}", SECRET).removeprefix("sha256=")
        signed = {"X-Hub-Signature-256": header.format(digest=digest), "X-Delivery": "1"}
        assert sender.post("/git/", b"{}", content_type="application/json", headers=signed).status_code == 401


class Unread:
    """A body that must not be touched."""

    def read(self, size: int | None = None) -> bytes:
        raise AssertionError("the body was read")


class Endless:
    """A body without an end, as one that is sent in chunks may be."""

    def __init__(self) -> None:
        self.taken = 0

    def read(self, size: int = -1) -> bytes:
        assert size >= 0, "all of it was asked for"
        self.taken += size
        return b"x" * size


def test_what_is_announced_as_too_long_is_not_read() -> None:
    request = RequestFactory().post("/carrier/", b"", content_type="application/json")
    request.META["CONTENT_LENGTH"] = "10001"
    request._stream = Unread()  # type: ignore[attr-defined] - where WSGI's input stands
    assert site.carrier(request).status_code == 413


def test_of_what_does_not_say_how_long_it_is_no_more_is_read_than_may_be() -> None:
    request, stream = RequestFactory().post("/carrier/", b"", content_type="application/json"), Endless()
    assert "CONTENT_LENGTH" not in request.META
    request._stream = stream  # type: ignore[attr-defined] - likewise
    assert site.carrier(request).status_code == 413
    assert stream.taken == 10_001


class BrokenOff:
    def read(self, size: int | None = None) -> bytes:
        raise OSError("the client went away")


def test_a_body_that_breaks_off() -> None:
    request = RequestFactory().post("/carrier/", b"{}", content_type="application/json")
    request._stream = BrokenOff()  # type: ignore[attr-defined] - likewise
    assert site.carrier(request).status_code == 400


def test_what_is_compressed() -> None:
    request = RequestFactory().post("/carrier/", b"{}", content_type="application/json", headers={"Content-Encoding": "gzip"})
    assert site.carrier(request).status_code == 415


@db
class TestSecrets:
    @pytest.mark.parametrize("secret", [None, "", "  ", [], [""], [SECRET, ""], [None], 5, {SECRET: 1}, b"", [[SECRET]]])
    def test_without_one_nothing_is_accepted(self, sender: Client, settings: Settings, run_ids: RunIds, secret: Any) -> None:
        settings.CARRIER_SECRET = secret
        for key in ("", SECRET):
            with pytest.raises(ImproperlyConfigured, match=r"tests\.web\.site\.carrier has no secret") as caught:
                deliver(sender, EVENT, secret=key)
            assert SECRET not in str(caught.value)
        assert run_ids() == []

    def test_a_setting_that_is_not_there(self, sender: Client, settings: Settings) -> None:
        del settings.CARRIER_SECRET
        with pytest.raises(ImproperlyConfigured, match="accepts nothing"):
            deliver(sender, EVENT)

    def test_the_sender_learns_nothing_of_it(self, settings: Settings) -> None:
        settings.CARRIER_SECRET = None
        response = deliver(Client(raise_request_exception=False), EVENT)
        assert response.status_code == 500
        assert b"secret" not in response.content

    @pytest.mark.parametrize("secret", ["whsec_abc", "", "lower_case", 5, None, b"SECRET", ["A_SETTING"]])
    def test_a_secret_in_the_code_is_refused_unquoted(self, secret: Any) -> None:
        with pytest.raises(InvalidUse, match="keep that out of the code") as caught:
            webhook(site.handle, sender="x", secret=secret, signature=TIMED)
        assert "whsec_abc" not in str(caught.value)

    def test_a_callable_is_asked_at_each_request(self) -> None:
        found = ["first", "second"]

        @webhook(site.handle, sender="calls", secret=lambda: found.pop(0), signature=BODY)
        def view(request: HttpRequest, event: WebhookEvent) -> None: ...

        def post(secret: str) -> int:
            headers = {"X-Hub-Signature-256": BODY.sign(b'{"id": 1}', secret)}
            return view(RequestFactory().post("/", b'{"id": 1}', content_type="application/json", headers=headers)).status_code

        assert post("first") == 202
        assert post("first") == 401


class TestAVerifierOfOnesOwn:
    @db
    @pytest.mark.parametrize(("says", "status"), [(True, 202), (False, 401)])
    def test_its_word_counts(self, says: bool, status: int) -> None:
        seen = []

        @webhook(
            site.handle, sender="own", secret=lambda: ["a", b"b"], signature=lambda *given: bool(seen.append(given[1:])) or says
        )
        def view(request: HttpRequest, event: WebhookEvent) -> None: ...

        assert view(RequestFactory().post("/", b'{"id": 1}', content_type="application/json")).status_code == status
        assert seen == [(b'{"id": 1}', [b"a", b"b"])]

    @pytest.mark.parametrize("says", [None, 1, "yes", object()])
    def test_what_is_no_bool_is_an_error(self, says: Any) -> None:
        @webhook(site.handle, sender="own", secret=lambda: "a", signature=lambda *given: says)
        def view(request: HttpRequest, event: WebhookEvent) -> None: ...

        with pytest.raises(InvalidUse, match="True or False"):
            view(RequestFactory().post("/", b'{"id": 1}', content_type="application/json"))


@pytest.mark.parametrize(
    "wrong",
    [{"sender": "a-b"}, {"sender": ""}, {"sender": "a b"}, {"sender": "x" * 51}, {"sender": None}, {"event_id": ""},
     {"event_id": None}, {"max_bytes": 0}, {"max_bytes": True}, {"max_bytes": 1.5}, {"signature": None}, {"signature": "v1"}],
)  # fmt: skip
def test_what_cannot_be_is_refused_where_it_is_written(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidUse, match="A webhook's"):
        webhook(site.handle, **({"sender": "x", "secret": "X", "signature": TIMED} | wrong))


def test_what_is_no_workflow_is_refused_where_it_is_written() -> None:
    with pytest.raises(InvalidUse, match="neither decorated"):
        webhook(len, sender="x", secret="X", signature=TIMED)


def test_an_async_function_is_refused() -> None:
    async def view(request: HttpRequest, event: WebhookEvent) -> None: ...

    with pytest.raises(InvalidUse, match="async def"):
        webhook(site.handle, sender="x", secret="X", signature=TIMED)(view)


def test_the_view_keeps_the_functions_name_and_docstring() -> None:
    assert site.carrier.__name__ == "carrier"
    assert site.carrier.__doc__ == "Notes each delivery, and does what its event asks for."


@committing
class TestTransactions:
    def test_a_function_that_fails_leaves_nothing(self, sender: Client, run_ids: RunIds) -> None:
        with pytest.raises(RuntimeError):
            deliver(sender, EVENT | {"wish": "fail"})
        assert run_ids() == []
        assert not Ledger.objects.exists()

    def test_a_caller_that_rolls_back_takes_the_run_with_it(self, sender: Client, run_ids: RunIds) -> None:
        with transaction.atomic():
            assert deliver(sender, EVENT).status_code == 202
            transaction.set_rollback(True)
        assert run_ids() == []
        assert not Ledger.objects.exists()

    @pytest.mark.usefixtures("atomic_requests")
    def test_under_atomic_requests_the_commit_comes_before_the_answer(self, sender: Client) -> None:
        assert deliver(sender, EVENT, "/depth/").status_code == 202
        drain()
        assert get_result("depth-evt-1", 1) == [True]  # one transaction, and no savepoint in another

    def test_a_session_that_breaks_before_the_commit_is_a_503_and_the_repetition_is_taken(
        self, sender: Client, run_ids: RunIds
    ) -> None:
        response = deliver(sender, EVENT | {"wish": "break"}, "/breaking/")
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "10"
        connection.close()
        assert run_ids() == []
        assert not Ledger.objects.exists()
        assert deliver(sender, EVENT, "/breaking/").status_code == 202
        assert run_ids() == ["breaking-evt-1"]

    def test_a_database_that_cannot_be_reached_is_a_503(self, sender: Client, run_ids: RunIds) -> None:
        connection.close()
        known = connection.settings_dict
        connection.settings_dict = known | {"HOST": "127.0.0.1", "PORT": "1", "NAME": "/nowhere/at/all"}
        try:
            assert deliver(sender, EVENT).status_code == 503
        finally:
            connection.settings_dict = known
        assert deliver(sender, EVENT).status_code == 202
        assert run_ids() == ["carrier-evt-1"]

    @pytest.mark.parametrize("error", [WorkflowConflict("x", "a", "b"), NotSerializable("it"), WorkflowNotFound("x")])
    def test_an_error_of_the_functions_own_calls_is_not_the_senders(self, error: Exception, run_ids: RunIds) -> None:
        @webhook(site.handle, sender="fails", secret="CARRIER_SECRET", signature=BODY)
        def view(request: HttpRequest, event: WebhookEvent) -> None:
            raise error

        headers = {"X-Hub-Signature-256": BODY.sign(b'{"id": 1}', SECRET)}
        with pytest.raises(type(error)):
            view(RequestFactory().post("/", b'{"id": 1}', content_type="application/json", headers=headers))
        assert run_ids() == []

    def test_an_argument_that_cannot_be_stored_is_not_the_senders_fault(self, run_ids: RunIds) -> None:
        @webhook(site.handle, sender="fails", secret="CARRIER_SECRET", signature=BODY)
        def view(request: HttpRequest, event: WebhookEvent) -> object:
            return object()

        headers = {"X-Hub-Signature-256": BODY.sign(b'{"id": 1}', SECRET)}
        with pytest.raises(NotSerializable):
            view(RequestFactory().post("/", b'{"id": 1}', content_type="application/json", headers=headers))
        assert run_ids() == []

    def test_an_error_of_the_program_is_no_503(self, sender: Client) -> None:
        def fails(request: HttpRequest, event: WebhookEvent) -> None:
            Ledger.objects.create(pk=1)
            Ledger.objects.create(pk=1)

        view = webhook(site.handle, sender="fails", secret="CARRIER_SECRET", signature=BODY)(fails)
        headers = {"X-Hub-Signature-256": BODY.sign(b'{"id": 1}', SECRET)}
        with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
            view(RequestFactory().post("/", b'{"id": 1}', content_type="application/json", headers=headers))
        assert not Ledger.objects.exists()


DIES_AFTER_THE_COMMIT = """
import os
import django
django.setup()
from django.conf import settings
from django.db import transaction
from tests.web import site
settings.ROOT_URLCONF, settings.CARRIER_SECRET = "tests.web.site", site.SECRET
create = site.Ledger.objects.create
def note(**row):
    transaction.on_commit(lambda: os.kill(os.getpid(), 9))
    return create(**row)
site.Ledger.objects.create = note
site.deliver(site.stranger(), {"id": "evt-1", "type": "ping"})
"""


@committing
def test_a_process_killed_before_it_could_answer(sender: Client, processes: Processes, run_ids: RunIds) -> None:
    died = processes.start("-c", DIES_AFTER_THE_COMMIT)
    assert died.wait(60) == -9, processes.output(died)
    assert run_ids() == ["carrier-evt-1"]
    assert answer_of(deliver(sender, EVENT)) == (202, b'{"accepted": "evt-1"}')
    drain()
    assert handled("carrier-evt-1") == 1

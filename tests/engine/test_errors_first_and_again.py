"""A workflow meets an exception as its replay will: without what cannot be stored, from the first time on."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from durable_workflows import StepRetriesExceeded, step, workflow
from durable_workflows.testing import drain, lose

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unparked")]
MET: list[BaseException] = []


class Refused(Exception):
    """With a response that no row can hold."""

    def __init__(self, code: int) -> None:
        super().__init__(f"refused with {code}")
        self.code = code
        self.response = object()


class Opaque(Exception):
    """Whose text is made of what no row can hold."""

    def __init__(self) -> None:
        super().__init__()
        self.response = object()

    def __str__(self) -> str:
        return f"refused by {type(self.response).__name__}"


def look(error: BaseException) -> dict[str, Any]:
    MET.append(error)
    cause = error.__cause__
    return {
        "class": type(error).__name__, "text": str(error), "attributes": sorted(vars(error)),
        "cause": None if cause is None else [type(cause).__name__, sorted(vars(cause))],
    }  # fmt: skip


@step
def refused() -> None:
    raise Refused(51)


@step
def refused_because() -> None:
    try:
        raise Refused(52)
    except Refused as error:
        raise LookupError("no price") from error


@step(max_attempts=2, interval_seconds=0)
def refused_twice() -> None:
    raise Refused(53)


@step
def plain() -> None:
    raise LookupError("nothing")


@step
def opaque() -> None:
    raise Opaque


STEPS = {
    "refused": refused,
    "refused_because": refused_because,
    "refused_twice": refused_twice,
    "plain": plain,
    "opaque": opaque,
}


@workflow
def meets(name: str) -> dict[str, Any]:
    try:
        STEPS[name]()
    except Exception as error:  # noqa: BLE001  # whatever it is, it is looked at
        return look(error)
    raise AssertionError("the step fails")


@pytest.fixture(autouse=True)
def none_met() -> None:
    MET.clear()


def first_and_again(name: str) -> tuple[Any, Any]:
    handle = meets.start(name)
    drain()
    first = handle.get_result()
    lose(handle.workflow_id)
    drain()
    return first, handle.get_result()


@pytest.mark.parametrize("name", ["refused", "refused_because", "refused_twice", "plain"])
def test_the_same_is_met_the_first_time_and_again(name: str) -> None:
    first, again = first_and_again(name)
    assert first == again
    assert len(MET) == 2


def test_what_cannot_be_stored_is_missing_and_named(caplog: pytest.LogCaptureFixture) -> None:
    first, _ = first_and_again("refused")
    assert first == {"class": "Refused", "text": "refused with 51", "attributes": ["code"], "cause": None}
    [line] = [record.getMessage() for record in caplog.records if "cannot be stored" in record.getMessage()]
    assert "Refused.response" in line
    assert "code" not in line


def test_of_a_cause_and_of_attempts_too(caplog: pytest.LogCaptureFixture) -> None:
    first, _ = first_and_again("refused_because")
    assert first["cause"] == ["Refused", ["code"]]
    first_and_again("refused_twice")
    exhausted = MET[2]
    assert isinstance(exhausted, StepRetriesExceeded)
    assert [sorted(vars(error)) for error in exhausted.errors] == [["code"], ["code"]]
    assert sum("Refused.response" in record.getMessage() for record in caplog.records) == 2


def test_the_traceback_leads_to_the_step_and_a_whole_exception_is_itself(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("refused", "plain"):
        first_and_again(name)
    frames = []
    for error in (MET[0], MET[2]):
        innermost = error.__traceback__
        while innermost is not None and innermost.tb_next is not None:
            innermost = innermost.tb_next
        assert innermost is not None
        frames.append(innermost.tb_frame.f_code.co_name)
    assert frames == ["refused", "plain"]
    assert sum("cannot be stored" in record.getMessage() for record in caplog.records) == 1


def test_one_that_cannot_be_rebuilt_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    handle = meets.start("opaque")
    drain()
    assert handle.get_result()["class"] == "Opaque"
    assert any("Opaque, which cannot be rebuilt" in record.getMessage() for record in caplog.records)

"""Exceptions as data: back as what they were where that is safe, as text always."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Self

import pytest
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import IntegrityError
from django.http import Http404
from django.utils.translation import gettext_lazy
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from durable_workflows.exceptions import (
    Deduplicated,
    NotSerializable,
    StepRetriesExceeded,
    StepTimeout,
    Suspended,
    WorkflowFailed,
    WorkflowNotFound,
)
from durable_workflows.serializers import dump_error, error_summary, load_error
from tests.app.models import Order


def round_trip(error: BaseException) -> Any:
    return load_error(dump_error(error))


def assert_comes_back(error: BaseException) -> BaseException:
    back = round_trip(error)
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert back.args == error.args
    return back


class Declined(Exception):
    """Requires a keyword that ``args`` does not hold."""

    def __init__(self, message: str, *, code: int, reasons: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.reasons = reasons

    def __str__(self) -> str:
        return f"{self.args[0]} ({self.code})"


class Silent(Exception):
    def __init__(self, *, code: int) -> None:
        self.code = code


class Picky(Exception):
    def __new__(cls, first: str, second: str) -> Self:
        return super().__new__(cls, first)

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


class FileTrouble(OSError):
    def __init__(self, path: str) -> None:
        super().__init__(2, "Not there", path)
        self.path = path


class Both(KeyError, AttributeError):
    pass


class Outer:
    class InnerError(ValueError):
        pass


@pytest.mark.parametrize(
    "error",
    [
        ValueError(),
        ValueError("a"),
        ValueError("a", 1, 1.0, True, None, (1, 2), {"a": {1}}),
        ValueError("\x00 \ud800 \U0001f600"),
        KeyError("missing"),
        KeyError(("a", 1)),
        IndexError("i"),
        ZeroDivisionError("z"),
        RecursionError("r"),
        StopIteration(5),
        OSError("only text"),
        OSError(2, "Not there"),
        FileNotFoundError(2, "Not there", "/tmp/x"),
        OSError(18, "Cross-device", "a", None, "b"),
        ConnectionResetError(104, "reset"),
        TimeoutError("late"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        UnicodeEncodeError("ascii", "\xe4", 0, 1, "bad"),
        json.JSONDecodeError("bad", "{", 1),
        SyntaxError("bad", ("f.py", 1, 2, "text")),
        ImportError("i", name="n"),
        IntegrityError("UNIQUE constraint failed"),
        Http404("gone"),
        ImproperlyConfigured("x"),
        Order.DoesNotExist("no order"),
        Declined("no", code=51, reasons=("funds",)),
        Silent(code=4),
        Picky("a", "b"),
        FileTrouble("/tmp/x"),
        Both("k"),
        Outer.InnerError("nested class"),
        WorkflowNotFound("a"),
        NotSerializable("n"),
        StepTimeout("charge", 1.5),
        Deduplicated("a", "b", "c"),
        WorkflowFailed("id", "ValueError", "text", "trace"),
    ],
    ids=repr,
)
def test_comes_back_as_its_own_class_with_its_own_text(error: Exception) -> None:
    back = assert_comes_back(error)
    assert vars(back) == vars(error)


def test_a_surrogate_pair_in_halves_is_no_reason_to_lie() -> None:
    """It would come back as one character, so the class does not come back at all."""
    assert round_trip(ValueError("\ud83d\ude00")) is None


def test_file_names_and_numbers_survive() -> None:
    for error in (FileNotFoundError(2, "Not there", "a"), FileTrouble("a"), OSError(18, "Cross", "a", None, "b")):
        back = round_trip(error)
        assert (back.errno, back.strerror, back.filename, back.filename2) == (
            error.errno,
            error.strerror,
            error.filename,
            error.filename2,
        )


def test_exhausted_retries_keep_step_attempts_errors_and_cause() -> None:
    errors = [ConnectionError("first"), Declined("second", code=1)]
    exhausted = StepRetriesExceeded("charge", 2, errors)
    exhausted.__cause__ = errors[-1]
    back = assert_comes_back(exhausted)
    assert isinstance(back, StepRetriesExceeded)
    assert (back.step_name, back.attempts) == ("charge", 2)
    assert [(type(error), str(error)) for error in back.errors] == [(type(error), str(error)) for error in errors]
    assert type(back.__cause__) is Declined
    assert back.__cause__.code == 1


@pytest.mark.parametrize(
    "error",
    [
        ValidationError("simple"),
        ValidationError("%(n)s is too many", code="max", params={"n": 3}),
        ValidationError(gettext_lazy("This field is required."), code="required"),
        ValidationError([ValidationError("a", code="x"), "b"]),
        ValidationError({"name": [ValidationError("a")], "age": ["b", "c"]}),
    ],
    ids=["text", "params", "lazy", "list", "dict"],
)
def test_django_validation_errors_come_back(error: ValidationError) -> None:
    back = round_trip(error)
    assert type(back) is ValidationError
    assert (str(back), back.messages, hasattr(back, "error_dict")) == (str(error), error.messages, hasattr(error, "error_dict"))
    if not hasattr(error, "error_dict"):
        assert [inner.code for inner in back.error_list] == [inner.code for inner in error.error_list]


def test_groups_come_back_with_their_members() -> None:
    group = ExceptionGroup("two", [ValueError("a"), ExceptionGroup("inner", [KeyError("b")])])
    back = round_trip(group)
    assert type(back) is ExceptionGroup
    assert str(back) == str(group)
    assert [type(error) for error in back.exceptions] == [ValueError, ExceptionGroup]
    assert [str(error) for error in back.exceptions[1].exceptions] == ["'b'"]


def test_notes_and_causes_survive() -> None:
    error = ValueError("outer")
    error.add_note("look here")
    error.__cause__ = KeyError("inner")
    error.__cause__.__cause__ = OSError(5, "innermost")
    back = round_trip(error)
    assert back.__notes__ == ["look here"]
    assert repr(back.__cause__) == "KeyError('inner')"
    assert repr(back.__cause__.__cause__) == repr(OSError(5, "innermost"))


def test_exceptions_that_hold_one_another_end() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.other, second.other = second, first  # type: ignore[attr-defined]
    first.__cause__ = second
    back = round_trip(first)
    assert back.other.other is back
    for _ in range(100):
        above = ValueError("above")
        above.__cause__ = above.below = first  # type: ignore[attr-defined]
        first = above
    assert str(round_trip(first)) == "above"


def test_a_member_whose_class_is_gone_is_replaced_by_its_text(forgotten: type[Exception]) -> None:
    back = load_error(dump_error(StepRetriesExceeded("charge", 1, [ValueError("a"), forgotten("b")])).replace("gone", "away"))
    assert isinstance(back, StepRetriesExceeded)
    assert [(type(error), str(error)) for error in back.errors] == [(ValueError, "a"), (Exception, "a_module_away.Lost: b")]


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Exception]]:
    module = ModuleType("a_module_gone")
    exec("class Lost(Exception): pass", vars(module))
    monkeypatch.setitem(sys.modules, "a_module_gone", module)
    lost: type[Exception] = module.Lost
    return lost


def test_attributes_that_are_not_serialisable_are_missing_and_the_rest_is_there() -> None:
    error = ValueError("a")
    vars(error).update(response=object(), status=404, body=b"x", spread={"a": {1, 2}})
    assert vars(assert_comes_back(error)) == {"status": 404, "body": b"x", "spread": {"a": {1, 2}}}


def test_arguments_that_are_not_serialisable_leave_the_text_if_that_is_all_the_class_shows() -> None:
    class Plain:
        def __str__(self) -> str:
            return "a plain thing"

    back = round_trip(ValueError(Plain()))
    assert (type(back), str(back)) == (ValueError, "a plain thing")
    assert round_trip(KeyError(Plain())) is None  # its text would gain quotes


def test_neither_init_nor_new_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    text, built = dump_error(Picky("a", "b")), []
    monkeypatch.setattr(Picky, "__init__", lambda self, *args: built.append(args))
    monkeypatch.setattr(Picky, "__new__", lambda cls, *args: built.append(args))
    assert str(load_error(text)) == "a b"
    assert built == []


def test_properties_are_not_called() -> None:
    class Guarded(Exception):
        @property
        def code(self) -> int:
            return 1

    globals()["Guarded"] = Guarded
    Guarded.__qualname__ = "Guarded"
    record = json.loads(dump_error(Guarded("a"))) | {"attrs": {"code": 5}}
    back = load_error(json.dumps(record))
    assert isinstance(back, Guarded)
    assert back.code == 1


@pytest.mark.parametrize(
    "names",
    [
        ["os", "system"],
        ["subprocess", "Popen"],
        ["builtins", "object"],
        ["builtins", "type"],
        ["builtins", "KeyboardInterrupt"],
        ["builtins", "SystemExit"],
        ["builtins", "BaseException"],
        ["builtins", "BaseExceptionGroup"],
        ["builtins", "ValueError.__init__"],
        ["durable_workflows.exceptions", "Suspended"],
        ["durable_workflows.exceptions", "NoSuchError"],
        ["no_such_module", "Error"],
        ["", ""],
        ["builtins"],
        ["builtins", 5],
        [[], {}],
        "builtins",
        None,
    ],
    ids=str,
)
def test_only_exception_classes_come_back(names: Any) -> None:
    record = {"type": names, "message": "x", "args": ["x"]}
    assert load_error(json.dumps(record)) is None


def test_control_flow_is_recorded_as_text_only() -> None:
    text = dump_error(Suspended("waits"))
    assert load_error(text) is None
    assert error_summary(text)[:2] == ("durable_workflows.exceptions.Suspended", "waits")


def test_no_module_is_imported_and_no_lazy_attribute_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    lazy = ModuleType("a_lazy_module")
    lazy.__getattr__ = asked.append  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, "a_lazy_module", lazy)
    assert load_error(json.dumps({"type": ["a_lazy_module", "Error"], "message": ""})) is None
    assert asked == []
    assert "this" not in sys.modules
    assert load_error(json.dumps({"type": ["this", "Error"], "message": ""})) is None
    assert "this" not in sys.modules


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "5", "{", "{}", '{"type":["builtins","ValueError"]}', "[" * 100_000], ids=lambda text: text[:9]
)
def test_damaged_records_are_none_and_shown_as_such(text: str) -> None:
    assert load_error(text) is None
    kind, message, trace = error_summary(text)
    assert (kind, trace) == ("(unreadable)", "")
    assert text[:400] in message


@pytest.mark.parametrize(
    "change",
    [
        {"args": 5},
        {"args": [{"$": "nonsense"}]},
        {"args": [{"$": "error", "v": 7}]},
        {"args": [{"$": "model", "name": "shop.gone", "v": 1}]},
        {"attrs": [1]},
        {"attrs": {"a": {"$": "type", "name": "shop.Gone", "v": 1}}},
        {"message": "another text"},
        {"message": 5},
        {"cause": 5},
    ],
    ids=str,
)
def test_records_that_do_not_add_up_are_none(change: dict[str, Any]) -> None:
    assert load_error(json.dumps(json.loads(dump_error(ValueError("x"))) | change)) is None


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001  any is raised here
        return caught


def test_the_summary_shows_type_message_and_traceback() -> None:
    shown = error_summary(dump_error(raised(Declined("no", code=51))))
    assert (shown.type, shown.message) == (f"{__name__}.Declined", "no (51)")
    assert shown.traceback.startswith("Traceback (most recent call last):")
    assert "in raised" in shown.traceback
    assert error_summary(dump_error(ValueError("x"))).type == "ValueError"


def test_the_summary_can_always_be_shown() -> None:
    shown = error_summary(dump_error(raised(ValueError("\ud800"))))
    assert shown.message == "\\ud800"
    assert "".join(shown).encode()


class Hostile(BaseException):
    """Everything that can be asked of it raises."""

    def __str__(self) -> str:
        raise SystemExit(1)

    __repr__ = __str__

    def __reduce__(self) -> Any:
        raise SystemExit(2)

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    def __hash__(self) -> int:
        raise RuntimeError

    def __bool__(self) -> bool:
        raise RuntimeError


class Shy(type):
    def __getattribute__(cls, name: str) -> Any:
        raise RuntimeError(name)


class Odd(Exception, metaclass=Shy):
    pass


class Recursive(Exception):
    def __str__(self) -> str:
        return str(self)


class Attribute:
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


class Holding(Exception):
    def __init__(self, value: Any) -> None:
        super().__init__(value)
        self.value = value


class TextSubclass(Exception):
    def __str__(self) -> str:
        return type("Text", (str,), {"__len__": lambda self: 1 / 0})("text")


HOSTILE = {
    "everything raises": Hostile,
    "its class raises": lambda: Odd("a"),
    "text without end": Recursive,
    "hostile attribute": lambda: Holding(Attribute()),
    "hostile cause": lambda: Holding(Hostile()),
    "hostile list": lambda: Holding([Hostile()] * 3),
    "text of a subclass": TextSubclass,
    "text is no text": type("NoStr", (Exception,), {"__str__": lambda self: 5}),
    "dict is no dict": type("NoDict", (Exception,), {"__dict__": 5}),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_exceptions_are_recorded_all_the_same(kind: str) -> None:
    error = HOSTILE[kind]()
    for text in (dump_error(error), dump_error(raised(error)), dump_error(ExceptionGroup("g", [Holding(error)]))):
        assert error_summary(text).type != "(unreadable)"
        load_error(text)


@pytest.mark.parametrize("limit", [1_000, 3_000, 30_000])
@pytest.mark.parametrize("character", ["x", "\U0001f600", "\x00"], ids=ascii)
def test_errors_above_the_limit_are_clipped(settings: Any, character: str, limit: int) -> None:
    settings.DURABLE_WORKFLOWS = {"PAYLOAD_MAX_BYTES": limit}
    text = dump_error(raised(ValueError(character * 100_000)))
    assert len(text) <= limit
    shown = error_summary(text)
    assert (shown.type, shown.message[0]) == ("ValueError", character)
    assert load_error(text) is None


def test_a_large_attribute_is_left_out(settings: Any) -> None:
    settings.DURABLE_WORKFLOWS = {"PAYLOAD_MAX_BYTES": 20_000}
    error = ValueError("a")
    vars(error).update(body="x" * 100_000, status=404)
    assert vars(assert_comes_back(error)) == {"status": 404}


def test_a_crowd_of_errors_within_one_is_clipped_not_amputated(settings: Any) -> None:
    settings.DURABLE_WORKFLOWS = {"PAYLOAD_MAX_BYTES": 20_000}
    text = dump_error(StepRetriesExceeded("charge", 5000, [ValueError("x")] * 5000))
    assert len(text) <= 20_000
    assert load_error(text) is None
    assert error_summary(text).message.startswith("Step 'charge' failed 5000 times")


def test_long_tracebacks_keep_their_two_ends() -> None:
    def descend(levels: int) -> None:
        if levels:
            descend(levels - 1)
        raise ValueError("at the bottom " + "y" * 50_000)

    try:
        descend(200)
    except ValueError as error:
        shown = error_summary(dump_error(error)).traceback
    assert len(shown) <= 20_000
    assert shown.startswith("Traceback")
    assert shown.rstrip().endswith("yyy")
    assert "clipped" in shown


messages = st.text(st.characters(), max_size=30)


@hypothesis_settings(deadline=None)
@given(
    st.sampled_from([ValueError, KeyError, OSError, RuntimeError, WorkflowNotFound, ValidationError, ImportError]),
    messages,
    st.dictionaries(messages, st.none() | st.integers() | messages | st.tuples(messages), max_size=3),
)
def test_whatever_it_says_it_says_the_same_or_nothing(cls: type[Exception], message: str, attributes: dict[str, Any]) -> None:
    error = cls(message)
    vars(error).update(attributes)
    back = round_trip(error)
    if back is None:
        assert not (message + "".join(attributes)).isascii() or "message" in attributes
        return
    assert type(back) is cls
    assert str(back) == str(error)


def test_an_error_comes_back_in_another_process_only_if_its_module_is_loaded_there() -> None:
    script = (
        "import sys; from django.conf import settings; settings.configure();"
        "from durable_workflows.serializers import load_error; text = sys.argv[1];"
        "print(load_error(text)); import tests.unit.out_of_stock; print(repr(load_error(text)))"
    )
    from tests.unit.out_of_stock import OutOfStock

    text = dump_error(OutOfStock("sku-1", left=0))
    printed = subprocess.check_output([sys.executable, "-c", script, text], env={"PYTHONPATH": ":".join(sys.path)}, text=True)
    assert printed.splitlines() == ["None", "OutOfStock('sku-1: 0 left')"]

"""Plain and tagged values: what goes in comes out, type for type, or is refused with its place."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter, OrderedDict, deque, namedtuple
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import IntEnum
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy
from hypothesis import given, settings
from hypothesis import strategies as st

from durable_workflows.exceptions import NotSerializable, PayloadCorrupted, PayloadTooLarge
from durable_workflows.serializers import dumps, loads
from durable_workflows.serializers.wire import MAX_DEPTH

WHAT = "result of step 'charge'"
BERLIN = ZoneInfo("Europe/Berlin")


def round_trip(value: Any) -> Any:
    text = dumps(value, what=WHAT)
    assert text.isascii()
    assert "\x00" not in text
    return loads(text, what=WHAT)


def fingerprint(value: Any) -> Any:
    """What two values share only if they are the same, type for type: ``1``, ``1.0`` and ``True`` are not."""
    kind = type(value)
    if kind in (list, tuple):
        return kind, [fingerprint(item) for item in value]
    if kind in (set, frozenset):
        return kind, sorted(repr(fingerprint(item)) for item in value)
    if kind is dict:
        return kind, [(fingerprint(key), fingerprint(item)) for key, item in value.items()]
    if kind in (datetime, time):
        return kind, value.isoformat(), value.fold, repr(value.tzinfo), value.tzname()
    return kind, hex(value) if kind is int else repr(value)


def assert_comes_back(value: Any) -> None:
    assert fingerprint(round_trip(value)) == fingerprint(value)


def nested(levels: int, value: Any = None) -> list[Any]:
    made: list[Any] = [value]
    for _ in range(levels - 1):
        made = [made]
    return made


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
offsets = st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59)).filter(
    lambda offset: not offset or abs(offset) >= timedelta(seconds=1)
)
zones: st.SearchStrategy[tzinfo | None] = st.one_of(
    st.none(),
    st.just(UTC),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"]).map(ZoneInfo),
    offsets.map(timezone),
    st.builds(timezone, offsets, texts),
)
plain_scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts)
tagged_scalars = st.one_of(
    st.binary(max_size=20),
    st.builds(datetime.replace, st.datetimes(), tzinfo=zones, fold=st.sampled_from([0, 1])),
    st.builds(time.replace, st.times(), tzinfo=zones, fold=st.sampled_from([0, 1])),
    st.dates(),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.uuids(),
)
keys = texts | st.just("$")
hashables = st.recursive(
    plain_scalars | tagged_scalars,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
values = st.recursive(
    hashables,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(keys, inner, max_size=4),
        st.sets(hashables, max_size=3),
    ),
    max_leaves=20,
)
plain_values = st.recursive(
    plain_scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=20
)


@settings(deadline=None)
@given(values)
def test_every_supported_value_comes_back_type_for_type(value: Any) -> None:
    assert_comes_back(value)


@settings(deadline=None)
@given(plain_values.filter(lambda value: '"$"' not in json.dumps(value)))
def test_plain_values_are_stored_as_the_json_they_are(value: Any) -> None:
    text = dumps(value, what=WHAT)
    assert text == json.dumps(value, separators=(",", ":"))
    assert fingerprint(loads(text, what=WHAT)) == fingerprint(value)


@settings(deadline=None)
@given(st.text(st.characters(), max_size=20))
def test_any_text_comes_back_or_is_refused(text: str) -> None:
    """Python's own strings may hold halves of surrogate pairs; two of them would come back as one character."""
    try:
        stored = dumps([text], what=WHAT)
    except NotSerializable:
        assert any("\ud800" <= character <= "\udfff" for character in text)
    else:
        assert loads(stored, what=WHAT) == [text]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "\x00",
        "a\x00b",
        "\u2028 \U0001f600 \uffff",
        -0.0,
        5e-324,
        2**53 + 1,
        -(2**63) - 1,
        10**5000,
        -(10**5000),
        2**2048 - 1,
        2**2048,
        Decimal("1.10"),
        Decimal("-0"),
        Decimal("Infinity"),
        Decimal("1E+999999"),
        UUID(int=0),
        timedelta.min,
        timedelta.max,
        date.min,
        datetime.max,
        time(0),
        {"$": 1},
        {"$": "tuple", "v": [1, 2]},
        {"$": {"$": {"$": "dict"}}},
        {"$": "model", "name": "auth.user", "v": 1},
        [[], {}, (), set(), frozenset(), b"", ""],
        {"": ""},
        {True, 1.5, "1", None, (1, 2), frozenset({1})},
        "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
        nested(MAX_DEPTH),
        nested(MAX_DEPTH - 1, (1,)),
    ],
    ids=lambda value: repr(type(value)),
)
def test_edge_values(value: Any) -> None:
    assert_comes_back(value)


def test_none_is_the_shortest_text() -> None:
    assert dumps(None, what=WHAT) == "null"


@pytest.mark.parametrize("fold", [0, 1])
def test_the_repeated_hour_keeps_its_fold_and_zone(fold: int) -> None:
    moment = datetime(2030, 10, 27, 2, 30, tzinfo=BERLIN, fold=fold)
    back = round_trip(moment)
    assert back.tzinfo is BERLIN
    assert back.utcoffset() == moment.utcoffset() == timedelta(hours=2 - fold)


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2030, 1, 1, 12, 0, 0, 123456),
        datetime(2030, 1, 1, tzinfo=UTC),
        datetime(2030, 1, 1, tzinfo=ZoneInfo("UTC")),
        datetime(2030, 1, 1, tzinfo=timezone(timedelta(hours=-5, seconds=-7, microseconds=-1))),
        datetime(2030, 1, 1, tzinfo=timezone(timedelta(hours=1), "CET")),
        datetime(2030, 1, 1, tzinfo=timezone(timedelta(hours=1), "")),
        time(2, 30, tzinfo=BERLIN, fold=1),
        time(2, 30, tzinfo=timezone(timedelta(hours=1), "CET")),
    ],
    ids=str,
)
def test_zones_are_told_apart(moment: datetime | time) -> None:
    assert_comes_back(moment)


def test_shared_items_are_no_cycle() -> None:
    shared = [1]
    assert round_trip([shared, shared, (shared,)]) == [[1], [1], ([1],)]


def test_safe_strings_become_text() -> None:
    assert fingerprint(round_trip([mark_safe("<b>")])) == (list, [(str, "'<b>'")])


def test_sets_have_one_text_in_every_process() -> None:
    script = "from durable_workflows.serializers import dumps; print(dumps({'a', 'b', 'c', 'd', 1, (2, 3)}, what='x'))"
    run = [sys.executable, "-c", f"from django.conf import settings; settings.configure(); {script}"]
    printed = {subprocess.check_output(run, env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}) for seed in "123"}
    assert len(printed) == 1


class Level(IntEnum):
    LOW = 1


class Text(str):
    __slots__ = ()


class Zone(tzinfo):
    def utcoffset(self, moment: datetime | None) -> timedelta:
        return timedelta(hours=1)


class Stranger:
    def __repr__(self) -> str:
        raise AssertionError("a refused value may be a secret, or this")


Point = namedtuple("Point", "x y")  # noqa: PYI024  the untyped kind is the one under test


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (float("nan"), "is nan"),
        (float("inf"), "is inf"),
        (Decimal("NaN"), "not a number"),
        (Decimal("sNaN"), "not a number"),
        ("\ud800", "surrogate"),
        ("\ud83d\ude00", "surrogate"),
        ({"\udfff": 1}, "surrogate"),
        ({1: 2}, "key of the type int"),
        ({None: 2}, "key of the type NoneType"),
        ({("a",): 2}, "key of the type tuple"),
        ({Text("a"): 2}, "key of the type Text"),
        (Level.LOW, "register_type(Level)"),
        (Point(1, 2), "come back as a plain tuple"),
        (Text("a"), "come back as a plain str"),
        (OrderedDict(a=1), "come back as a plain dict"),
        (Counter("a"), "come back as a plain dict"),
        (deque([1]), "cannot be stored"),
        (bytearray(b"a"), "bytes(value)"),
        (memoryview(b"a"), "bytes(value)"),
        (1j, "cannot be stored"),
        (range(3), "cannot be stored"),
        ((item for item in ()), "list(value)"),
        (gettext_lazy("a"), "str(value)"),
        (Stranger(), "register_type(Stranger, encode=..., decode=...)"),
        (Stranger, "cannot be stored"),
        (len, "cannot be stored"),
        (ValueError("a"), "cannot be stored"),
        (datetime(2030, 1, 1, tzinfo=Zone()), "time zone of the type Zone"),
        (time(1, tzinfo=timezone(timedelta(microseconds=-1))), "less than a second"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isascii() else type(value).__name__,
)
def test_what_would_not_come_back_is_refused_with_its_place(value: Any, said: str) -> None:
    with pytest.raises(NotSerializable) as refused:
        dumps({"a": [0, 1, 2, value]}, what=WHAT)
    message = str(refused.value)
    assert message.startswith(f"""Cannot store the {WHAT}: result["a"][3], of the type """)
    assert type(value).__qualname__ in message
    assert said in message


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (1j, "result,"),
        ((0, 1j), "result[1],"),
        ({(0, 1j)}, "result.item[1],"),
        ({"$": 1j}, 'result["$"],'),
        ({'a"b': {"": 1j}}, r'result["a\"b"][""],'),
    ],
)
def test_the_place_is_written_as_python(value: Any, place: str) -> None:
    with pytest.raises(NotSerializable) as refused:
        dumps(value, what=WHAT)
    assert f": {place} of the type complex" in str(refused.value)


def test_the_place_starts_with_value_where_the_first_word_is_no_name() -> None:
    with pytest.raises(NotSerializable, match=r"Cannot store the 7th thing: value\[0\], of"):
        dumps([1j], what="7th thing")


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 500, 50_000])
@pytest.mark.parametrize("leaf", [None, (1,)], ids=["plain", "tagged"])
def test_deep_nesting_is_refused(levels: int, leaf: Any) -> None:
    with pytest.raises(NotSerializable, match=f"deeper than {MAX_DEPTH} levels"):
        dumps(nested(levels, leaf), what=WHAT)


def test_cycles_are_refused() -> None:
    cycle: dict[str, Any] = {}
    cycle["again"] = [(cycle,)]
    with pytest.raises(NotSerializable, match="contains itself"):
        dumps(cycle, what=WHAT)


def test_an_exhausted_stack_is_a_clear_error() -> None:
    def descend() -> None:
        try:
            descend()
        except RecursionError:
            dumps((((1,),),), what=WHAT)

    with pytest.raises(NotSerializable, match="stack of calls is too deep"):
        descend()


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("make", [lambda size: "x" * (size - 2), lambda size: (b"x" * 3 * ((size - 24) // 4),)])
def test_the_size_limit_is_exact(settings: Any, make: Any, extra: int) -> None:
    value = make(1024)
    settings.DURABLE_WORKFLOWS = {"PAYLOAD_MAX_BYTES": 10_000}
    size = len(dumps(value, what=WHAT))
    settings.DURABLE_WORKFLOWS = {"PAYLOAD_MAX_BYTES": size - extra}
    if not extra:
        assert len(dumps(value, what=WHAT)) == size
        return
    with pytest.raises(PayloadTooLarge, match=f"{WHAT}.*{size - 1}") as refused:
        dumps(value, what=WHAT)
    assert "PAYLOAD_MAX_BYTES" in str(refused.value)


@pytest.mark.parametrize("leaf", [[1], (1,), "x" * 1000], ids=["plain", "tagged", "text"])
def test_a_small_object_of_enormous_text_is_refused_before_it_is_written(settings: Any, leaf: Any) -> None:
    settings.DURABLE_WORKFLOWS = {"PAYLOAD_MAX_BYTES": 100_000}
    for _ in range(60):
        leaf = [leaf, leaf]
    with pytest.raises(PayloadTooLarge, match="more than"):
        dumps(leaf, what=WHAT)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[1,]", "not JSON"),
        ("NaN", "NaN is not JSON"),
        ("[-Infinity]", "-Infinity is not JSON"),
        ("null null", "not JSON"),
        ("1" * 5000, "not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[" * 2000 + '{"$":"tuple","v":[]}' + "]" * 2000, "nested too deeply"),
        ('{"$":"pickle","v":"x"}', "'pickle', which this version does not know"),
        ('{"$":null}', "None, which this version does not know"),
        ('{"$":[]}', "damaged"),
        ('{"$":{}}', "damaged"),
        ('{"$":"tuple"}', "damaged"),
        ('{"$":"tuple","v":"ab"}', "damaged"),
        ('{"$":"set","v":[[1]]}', "damaged"),
        ('{"$":"dict","v":[1]}', "damaged"),
        ('{"$":"bytes","v":"a"}', "damaged"),
        ('{"$":"bytes","v":5}', "damaged"),
        ('{"$":"datetime","v":"yesterday"}', "damaged"),
        ('{"$":"datetime","v":["2030-01-01T00:00:00",0,"Mars/Olympus"]}', "Mars/Olympus"),
        ('{"$":"datetime","v":["2030-01-01T00:00:00",0,"../../etc/passwd"]}', "damaged"),
        ('{"$":"datetime","v":[1,2,3,4,5]}', "damaged"),
        ('{"$":"timedelta","v":[1]}', "damaged"),
        ('{"$":"timedelta","v":[1e300,0,0]}', "damaged"),
        ('{"$":"decimal","v":"ten"}', "damaged"),
        ('{"$":"uuid","v":"x"}', "damaged"),
        ('{"$":"int","v":"ten"}', "damaged"),
        ('{"$":"error","v":{}}', "does not know"),
        ('{"$":"type","name":"shop.Gone","v":1}', "register_type(..., name='shop.Gone')"),
        ('{"$":"type","name":["x"],"v":1}', "damaged"),
        ('{"$":"type","name":"os.system","v":"true"}', "does not know"),
        ('{"$":"model","name":"shop.gone","v":1}', "no model 'shop.gone'"),
        ('{"$":"model","name":"nonsense","v":1}', "no model 'nonsense'"),
        ('{"$":"model","name":"tests_app.order","v":1,"db":"nowhere"}', "no 'nowhere'"),
        ('{"$":"model","name":"tests_app.order","v":"seven"}', "damaged"),
        ('{"$":"model","name":"tests_app.order","v":[7]}', "damaged"),
    ],
    ids=lambda value: value[:30],
)
def test_damaged_payloads_are_named_and_explained(text: str, said: str) -> None:
    for wrapped in (text, f'[{text},{{"$":"tuple","v":[]}}]') if said == "damaged" else (text,):
        with pytest.raises(PayloadCorrupted) as refused:
            loads(wrapped, what=WHAT)
        assert str(refused.value).startswith(f"Cannot read the {WHAT}: ")
        assert said in str(refused.value)


def test_a_column_that_holds_nothing_is_damaged() -> None:
    with pytest.raises(PayloadCorrupted, match="not JSON"):
        loads(None, what=WHAT)  # type: ignore[arg-type]


def test_importing_the_package_needs_no_loaded_apps_and_no_settings() -> None:
    script = (
        "import durable_workflows.serializers, sys; from django.apps import apps; from django.conf import settings;"
        "assert not apps.ready and not settings.configured and 'pydantic' not in sys.modules"
    )
    subprocess.check_call([sys.executable, "-c", script], env={"PYTHONPATH": ":".join(sys.path)})

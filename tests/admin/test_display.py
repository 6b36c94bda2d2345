"""Values as a page shows them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from django.test import override_settings
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from durable_workflows.admin import display
from durable_workflows.states import RunState

pytestmark = pytest.mark.once

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@given(JSON)
def test_pretty_json_is_the_same_json(value: object) -> None:
    for text in (json.dumps(value), json.dumps(value, separators=(",", ":")), json.dumps(value, ensure_ascii=False)):
        assert json.loads(display.pretty(text)) == value


@given(st.text())
def test_pretty_takes_any_text(text: str) -> None:
    assert isinstance(display.pretty(text), str)


def test_pretty_keeps_what_decoding_would_lose() -> None:
    assert display.pretty('{"a":1.10,"a":12345678901234567890}') == '{"a": 1.10, "a": 12345678901234567890}'


def test_long_json_is_indented() -> None:
    text = json.dumps({"items": [{"sku": "TEA", "quantity": 2}], "note": "x" * 60, "none": [], "empty": {}})
    assert display.pretty(text) == json.dumps(json.loads(text), indent=2)


def test_clipped_json_is_indented_as_far_as_it_goes() -> None:
    assert display.pretty('{"a":[1,2],"b":"' + "x" * 80).startswith('{\n  "a": [\n    1,\n    2\n  ],\n  "b": "xxx')


def test_what_is_not_json_stays_as_it_is() -> None:
    assert display.pretty("gAAAA  not, json: at all") == "gAAAA  not, json: at all"


def test_deep_nesting_stays_small() -> None:
    assert len(display.pretty("[" * display.CLIP)) < 50 * display.CLIP


@pytest.mark.parametrize(
    ("stored", "seen"),
    [
        (r'"\u00c5sa"', '"Åsa"'),
        (r'"\ud83d\ude00"', '"😀"'),
        (r'"\ud83d"', r'"\ud83d"'),
        (r'"\u0000\u001b\u202e"', r'"\u0000\u001b\u202e"'),
        (r'"\\u00c5"', r'"\\u00c5"'),
        (r'"\u0022\u005c"', r'"\u0022\u005c"'),
        (r'"line\nbreak"', r'"line\nbreak"'),
    ],
)
def test_letters_are_shown_and_what_misleads_stays_escaped(stored: str, seen: str) -> None:
    assert display.pretty(stored) == seen


def test_payload_tells_what_is_left_out() -> None:
    assert display.payload(None, None) is None
    assert display.payload('"abc', 5000) == display.Clipped('"abc', 4996)


def test_a_traceback_is_clipped_at_its_front() -> None:
    assert display.clip_front("0123456789", 4) == display.Clipped("6789", 6)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 ms"), (0.0124, "12 ms"), (1, "1.0 s"), (59.96, "60.0 s"), (61, "1 min 1 s"), (3599, "59 min 59 s"),
        (7260, "2 h 1 min"), (90_000, "1 d 1 h"), (86_400 * 400, "400 d 0 h"),
    ],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert display.duration(timedelta(seconds=seconds)) == text


def test_elapsed_counts_until_now() -> None:
    assert display.elapsed(None, None) == ""
    assert display.elapsed(timezone.now() - timedelta(hours=2, minutes=1), None) == "2 h 1 min so far"


def test_a_project_without_time_zones() -> None:
    with override_settings(USE_TZ=False, TIME_ZONE="UTC"):
        start = datetime(2001, 2, 3, 4, 5, 6)
        assert display.moment(start) == "2001-02-03 04:05:06"
        assert display.elapsed(start, None).endswith("so far")


def test_every_state_has_a_label_and_a_class() -> None:
    pills = {state: display.pill(state) for state in RunState}
    assert pills[RunState.ERROR] == '<span class="dw-pill dw-error">failed</span>'
    assert len(set(pills.values())) == len(RunState)


def test_a_state_of_a_later_version_is_shown_as_text() -> None:
    assert display.pill('NEW" x="') == '<span class="dw-pill">NEW&quot; x=&quot;</span>'


def test_names_and_ids() -> None:
    assert display.split_name("shop.workflows.checkout") == ("checkout", "shop.workflows")
    assert display.split_name("checkout") == ("checkout", "")
    assert display.split_name("ends.with.") == ("ends.with.", "")
    assert display.short_id("order-1") == "order-1"
    assert display.short_id("01a207c3-542a-7925-9d98-39194d2ced76") == "01a207c3…4d2ced76"

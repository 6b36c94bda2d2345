"""Cron expressions in words: what is said is what croniter does, and of the rest nothing is said."""

from __future__ import annotations

import pytest
from croniter import croniter
from hypothesis import given
from hypothesis import strategies as st

from durable_workflows.admin.cron_words import DAY_NAMES, MONTH_NAMES, Field, Unsaid, words


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("* * * * *", "every minute"),
        ("0 * * * *", "every hour"),
        ("5 * * * *", "every hour at minute 5"),
        ("*/15 8-18 * * 1-5", "every 15 minutes from 08:00 to 18:59, on Monday to Friday"),
        ("*/7 * * * *", "every hour at minute 0, 7, 14, 21, 28, 35, 42, 49 and 56"),
        ("0 */2 * * *", "every 2 hours, at minute 0"),
        ("0 9 * * MON-FRI", "at 09:00, on Monday to Friday"),
        ("0,30 9,17 * * *", "at 09:00, 09:30, 17:00 and 17:30, every day"),
        ("0 9 * * 0,6", "at 09:00, on Saturday and Sunday"),
        ("0 9 * * sun", "at 09:00, on Sunday"),
        ("0 9 * * 7", "at 09:00, on Sunday"),
        ("30 3 1 * *", "at 03:30, on day 1 of the month"),
        ("0 9 1 * MON", "at 09:00, on day 1 of the month and on Monday"),
        ("0 0 * 1-3,12 *", "at 00:00, every day, in January to March and December"),
        ("@daily", "at 00:00, every day"),
        ("@yearly", "at 00:00, on day 1 of the month, in January"),
        ("0 30 9 * * *", "at 09:30, every day"),
    ],
)
def test_what_is_said(expression: str, said: str) -> None:
    assert croniter.is_valid(expression, second_at_beginning=True)
    assert words(expression) == said


@pytest.mark.parametrize(
    "expression",
    [
        "15 10 L * *", "0 9 * * MON#2", "0 9 * * L5", "0 9 15W * *", "*/5 * * * * *", "0 9 */2 * 1", "0 22-2 * * *",
        "0-10 1,5,9,13 * * *", "61 * * * *", "* * * *", "", "nonsense", "0 9 * * FUNDAY", "0 9 * * ١", "@reboot", "a/b * * * *",
        "1/0 * * * *", "5-1 * * * *", "1--2 * * * *", "5-5 * * * *", ", * * * *",
    ],
)  # fmt: skip
def test_of_what_nothing_is_said(expression: str) -> None:
    assert words(expression) == ""


FIELDS = ((0, 59, None), (0, 23, None), (1, 31, None), (1, 12, MONTH_NAMES), (0, 7, DAY_NAMES))


@given(st.data())
def test_a_field_is_read_as_croniter_reads_it(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, 4))
    first, last, names = FIELDS[place]
    number = st.integers(first, last).map(str)
    span = st.tuples(st.integers(first, last), st.integers(first, last)).map(lambda ends: f"{min(ends)}-{max(ends)}")
    step = st.integers(1, 12).map(lambda n: f"*/{n}")
    text = data.draw(st.lists(st.one_of(number, span, step), min_size=1, max_size=4).map(",".join))
    expression = " ".join(text if at == place else "*" for at in range(5))
    expanded = croniter.expand(expression)[0][place]
    try:
        mine = Field(text, first, last, names).values
    except Unsaid:
        return
    week = 7 if place == 4 else 100
    theirs = set(range(first, last + 1)) if expanded == ["*"] else {int(value) for value in expanded}
    assert {value % week for value in mine} == {value % week for value in theirs}

"""The duties of a worker do not stand in each other's way."""

from __future__ import annotations

import pytest

from durable_workflows.worker import housekeeping


def test_a_duty_that_fails_keeps_no_other_from_being_done() -> None:
    done: list[str] = []

    def fails(name: str) -> None:
        done.append(name)
        raise LookupError(name)

    duties = [lambda: fails("first"), lambda: done.append("second"), lambda: fails("third"), lambda: done.append("fourth")]
    with pytest.raises(LookupError, match="first"):
        housekeeping._do_all(duties)
    assert done == ["first", "second", "third", "fourth"]

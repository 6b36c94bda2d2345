"""What the commands are tried on."""

from __future__ import annotations

from typing import Any

import durable_workflows as durable

FAULTS: list[Exception] = []  # raised by the next calls of `pay`, one each


@durable.step
def reserve(order: str) -> str:
    return f"reserved {order}"


@durable.step
def pay(amount: int) -> int:
    if FAULTS:
        raise FAULTS.pop(0)
    return amount


@durable.workflow
def purchase(order: str, amount: int = 5) -> dict[str, Any]:
    return {"reserved": reserve(order), "paid": pay(amount)}


@durable.workflow
def question(topic: str = "answer") -> Any:
    reserve("the question")
    durable.set_event("asked", True)
    return durable.recv(topic)


@durable.workflow
def family() -> int:
    return purchase.start("small").get_result()["paid"]

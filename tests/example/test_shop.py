"""The checkout: its form, its steps and its way back, and the button that kills the worker."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from pytest_django import Settings

from durable_workflows import SetWorkflowID, cancel_workflow
from durable_workflows.models import WorkflowRun
from durable_workflows.testing import drain, travel
from example_project.shop import crash, gateway
from example_project.shop.models import LedgerEntry, Order, Product, Shipment, StockMovement
from example_project.shop.views import effects
from example_project.shop.workflows import checkout_workflow


def cart(**changes: Any) -> dict[str, Any]:
    """What the form sends: two lamps."""
    return {"customer": "Ada", "card": "4242", "pace": "0", "token": str(uuid.uuid4()), "of-lamp": "2"} | changes


def times(run_id: str) -> list[int]:
    """How often each effect of a checkout exists."""
    return [effect.times for effect in effects(run_id)]


def check_out(run_id: str, **items: Any) -> str:
    """Run a checkout here and now."""
    card = items.pop("card", "4242")
    with SetWorkflowID(run_id):
        return checkout_workflow(items, "Ada", card)


@pytest.mark.django_db
def test_buying_starts_a_checkout_and_shows_it(client: Client, lamp: Product, run_ids: Callable[[], list[str]]) -> None:
    data = cart()
    response = client.post("/shop/", data)
    assert run_ids() == [f"checkout-{data['token']}"]
    page = client.get(response.headers["Location"])
    assert page.status_code == 200
    assert run_ids()[0] in page.content.decode()
    assert client.get(response.headers["Location"] + "progress/").status_code == 200


@pytest.mark.django_db
def test_a_form_sent_twice_is_one_checkout(client: Client, lamp: Product, run_ids: Callable[[], list[str]]) -> None:
    data = cart()
    assert client.post("/shop/", data).headers["Location"] == client.post("/shop/", data).headers["Location"]
    assert len(run_ids()) == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    "wrong", [{"of-lamp": "0"}, {"of-lamp": "-1"}, {"of-lamp": "many"}, {"card": "9999"}, {"customer": ""}, {"token": "x"}]
)
def test_a_cart_that_cannot_be_sold_starts_nothing(
    client: Client, lamp: Product, run_ids: Callable[[], list[str]], wrong: dict[str, str]
) -> None:
    assert client.post("/shop/", cart(**wrong)).status_code == 200
    assert run_ids() == []


@pytest.mark.django_db(transaction=True)
def test_a_paid_checkout_leaves_each_effect_once(lamp: Product) -> None:
    assert check_out("good", lamp=2) == "fulfilled"
    assert times("good") == [1, 1, 1, 1, 1, 0]
    lamp.refresh_from_db()
    assert lamp.stock == 3
    assert LedgerEntry.objects.get().amount_cents == 9800
    assert gateway.charges("good")[0]["amount_cents"] == 9800
    assert gateway.charges("good")[0]["reference"] == LedgerEntry.objects.get().reference


@pytest.mark.django_db(transaction=True)
def test_a_declined_card_puts_the_goods_back(lamp: Product) -> None:
    assert check_out("declined", lamp=2, card=gateway.DECLINED) == "cancelled"
    assert times("declined") == [1, 1, 0, 0, 0, 1]
    lamp.refresh_from_db()
    assert lamp.stock == 5
    assert Order.objects.get().reason == "The card was declined."


@pytest.mark.django_db(transaction=True)
def test_too_little_stock_rolls_the_whole_step_back(lamp: Product) -> None:
    Product.objects.create(sku="globe", name="Desk globe", price_cents=7450, stock=0)
    assert check_out("sold-out", lamp=2, globe=1) == "cancelled"
    lamp.refresh_from_db()
    assert lamp.stock == 5
    assert not StockMovement.objects.exists()
    assert not Shipment.objects.exists()
    assert Order.objects.get().reason == "Not enough of Desk globe in stock."


@pytest.mark.django_db(transaction=True)
def test_the_same_id_again_sells_nothing_more(lamp: Product) -> None:
    assert check_out("once", lamp=1) == check_out("once", lamp=1) == "fulfilled"
    assert times("once") == [1, 1, 1, 1, 1, 0]
    assert gateway.calls("once") == 1


def call_off() -> None:
    cancel_workflow("called-off")
    connection.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("charged", [False, True])
def test_a_checkout_that_is_called_off_puts_everything_back(
    lamp: Product, charged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the card is charged, and after it was charged and before that could be recorded."""
    charge = gateway.charge

    def charge_and_be_called_off(*args: Any, **kwargs: Any) -> str:
        reference = charge(*args, **kwargs)
        with ThreadPoolExecutor(1) as somebody_else:
            somebody_else.submit(call_off).result()
        return reference

    if charged:
        monkeypatch.setattr(gateway, "charge", charge_and_be_called_off)
    with SetWorkflowID("called-off"):
        handle = checkout_workflow.start({"lamp": 2}, "Ada", "4242", 0.0 if charged else 60.0)
    for _ in range(0 if charged else 2):  # it rests before the goods are taken, and after
        drain()
        travel(61)
    if not charged:
        assert Order.objects.get().status == "reserved"
        handle.cancel()
    drain()
    assert handle.get_status().status == "CANCELLED"
    assert times("called-off") == [1, 1, int(charged), 0, 0, 1]
    assert len(gateway.refunds("called-off")) == int(charged)
    lamp.refresh_from_db()
    assert lamp.stock == 5
    order = Order.objects.get()
    assert (order.status, order.reason) == ("cancelled", "The checkout was called off.")


@pytest.mark.django_db(transaction=True)
def test_a_declined_checkout_is_sold_again_with_another_card(client: Client, lamp: Product) -> None:
    assert check_out("declined", lamp=2, card=gateway.DECLINED) == "cancelled"
    page = client.get("/shop/checkouts/declined/").content.decode()
    assert 'action="/shop/checkouts/declined/again/"' in page
    token = str(uuid.uuid4())
    for _ in range(2):  # a double click
        response = client.post("/shop/checkouts/declined/again/", {"card": "4242", "token": token})
        assert response.headers["Location"] == f"/shop/checkouts/checkout-{token}/"
    drain()
    assert times("declined") == [1, 1, 0, 0, 0, 1]
    assert times(f"checkout-{token}") == [1, 1, 1, 1, 1, 0]
    assert WorkflowRun.objects.get(pk=f"checkout-{token}").forked_from_id == "declined"
    lamp.refresh_from_db()
    assert lamp.stock == 3


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("form", [{"card": "9999", "token": str(uuid.UUID(int=1))}, {"card": "4242", "token": "x"}, {}])
def test_what_was_sold_is_not_sold_again_nor_by_a_form_that_is_wrong(
    client: Client, lamp: Product, form: dict[str, str]
) -> None:
    check_out("declined", lamp=2, card=gateway.DECLINED)
    check_out("good", lamp=1)
    for run_id, sent in (("declined", form), ("good", {"card": "4242", "token": str(uuid.uuid4())})):
        assert client.post(f"/shop/checkouts/{run_id}/again/", sent).headers["Location"] == f"/shop/checkouts/{run_id}/"
    assert client.post("/shop/checkouts/nobody/again/", form).status_code == 404
    assert Order.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_checkout_is_called_off_by_its_button(client: Client, lamp: Product) -> None:
    with SetWorkflowID("resting"):
        checkout_workflow.start({"lamp": 2}, "Ada", "4242", 60.0)
    drain()
    assert 'action="/shop/checkouts/resting/call-off/"' in client.get("/shop/checkouts/resting/progress/").content.decode()
    assert client.get("/shop/checkouts/resting/call-off/").status_code == 405
    assert Client(enforce_csrf_checks=True).post("/shop/checkouts/resting/call-off/").status_code == 403
    assert client.post("/shop/checkouts/resting/call-off/").status_code == 302
    assert client.post("/shop/checkouts/nobody/call-off/").status_code == 404
    drain()
    assert WorkflowRun.objects.get(pk="resting").status == "CANCELLED"
    assert times("resting")[2:5] == [0, 0, 0]
    check_out("good", lamp=1)
    client.post("/shop/checkouts/good/call-off/")
    assert WorkflowRun.objects.get(pk="good").status == "SUCCESS"


def test_the_gateway_charges_once_per_key() -> None:
    first, second = (gateway.charge(500, "4242", idempotency_key="k", purpose="p") for _ in range(2))
    other = gateway.charge(500, "4242", idempotency_key="other", purpose="p")
    assert first == second != other
    assert len(gateway.charges("p")) == 2
    assert gateway.calls("p") == 3
    assert gateway.charges("q") == []


def test_a_poor_network_answers_the_third_call() -> None:
    for _ in range(2):
        with pytest.raises(gateway.GatewayUnavailable):
            gateway.charge(500, gateway.FLAKY, idempotency_key="k", purpose="p")
    assert gateway.charges("p") == []
    assert gateway.charge(500, gateway.FLAKY, idempotency_key="k", purpose="p").startswith("ch_")


@pytest.mark.django_db
def test_the_crash_button_is_for_debug_and_post_and_known_runs(
    client: Client, lamp: Product, settings: Settings, run_ids: Callable[[], list[str]]
) -> None:
    client.post("/shop/", cart())
    [run_id] = run_ids()
    button = f"/shop/checkouts/{run_id}/crash/"
    assert client.post(button).status_code == 404
    settings.DEBUG = True
    assert client.get(button).status_code == 405
    assert client.post("/shop/checkouts/nobody/crash/").status_code == 404
    assert Client(enforce_csrf_checks=True).post(button).status_code == 403
    assert not crash.armed(run_id)
    assert client.post(button).status_code == 302
    assert crash.armed(run_id)


@pytest.mark.django_db(transaction=True)
def test_an_armed_crash_spares_a_process_that_is_no_worker(lamp: Product, settings: Settings) -> None:
    settings.DEBUG = True
    crash.arm("spared")
    assert check_out("spared", lamp=1) == "fulfilled"
    assert crash.armed("spared")

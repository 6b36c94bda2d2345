"""Model instances in payloads: references that decode to today's row."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db import connection, models
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from durable_workflows.exceptions import NotSerializable, PayloadCorrupted
from durable_workflows.serializers import dump_error, dumps, load_error, loads, register_type
from tests.app.models import Account, Order

pytestmark = pytest.mark.django_db
WHAT = "argument 'order' of workflow 'checkout'"


def round_trip(value: Any) -> Any:
    return loads(dumps(value, what=WHAT), what=WHAT)


def test_an_instance_comes_back_as_its_row_is_today() -> None:
    order = Order.objects.create(number="a", amount=Decimal("1.50"))
    text = dumps({"order": order}, what=WHAT)
    assert text == f'{{"order":{{"$":"model","name":"tests_app.order","v":{order.pk}}}}}'
    Order.objects.update(status="paid")
    back = loads(text, what=WHAT)["order"]
    assert (back, back.status, back._state.adding) == (order, "paid", False)


def test_the_user_of_a_request_is_a_user() -> None:
    user = User.objects.create(username="u")
    back = round_trip([SimpleLazyObject(lambda: user)])[0]
    assert (type(back), back) == (User, user)


def test_text_keys_are_keys() -> None:
    session = Session.objects.create(session_key="k" * 32, session_data="", expire_date=timezone.now())
    assert round_trip((session,)) == (session,)


def test_a_key_of_another_form_finds_its_row() -> None:
    order = Order.objects.create(number="a")
    order.pk = str(order.pk)
    assert round_trip(order).number == "a"


def test_many_instances_cost_one_query_for_each_model() -> None:
    orders = [Order.objects.create(number=str(number)) for number in range(20)]
    account = Account.objects.create(name="a")
    text = dumps({"orders": orders, "again": (orders[3], account), "last": {orders[4]}}, what=WHAT)
    with CaptureQueriesContext(connection) as queries:
        back = loads(text, what=WHAT)
    assert back == {"orders": orders, "again": (orders[3], account), "last": {orders[4]}}
    assert len(queries) == 2


def test_a_users_dict_that_looks_like_a_reference_asks_nothing() -> None:
    lookalike = {"$": "model", "name": "tests_app.order", "v": 1, "other": {"$": "model"}}
    with CaptureQueriesContext(connection) as queries:
        assert round_trip([lookalike]) == [lookalike]
    assert len(queries) == 0


def test_a_row_that_is_gone_is_named() -> None:
    order = Order.objects.create(number="a")
    pk, text = order.pk, dumps([order], what=WHAT)
    order.delete()
    with pytest.raises(PayloadCorrupted, match=rf"{WHAT}.*tests_app\.order with the key {pk} in the database 'default'"):
        loads(text, what=WHAT)


@pytest.mark.parametrize("make", [Order, lambda: Order(pk=5), lambda: Order(number="a", pk=uuid.uuid4().int % 1000)])
def test_an_instance_without_a_row_is_refused(make: Any) -> None:
    with pytest.raises(NotSerializable, match=r"argument\[0\].*Order.*without a row; save it first"):
        dumps([make()], what=WHAT)


def test_a_deleted_instance_is_refused() -> None:
    order = Order.objects.create(number="a")
    order.delete()
    with pytest.raises(NotSerializable, match="without a row"):
        dumps(order, what=WHAT)


def test_querysets_and_managers_are_refused_with_the_cure() -> None:
    for value in (Order.objects.all(), Order.objects):
        with pytest.raises(NotSerializable, match=r"list\(queryset\)"):
            dumps(value, what=WHAT)


def test_a_proxy_comes_back_as_a_proxy() -> None:
    class Permanent(ContentType):
        class Meta:
            proxy = True
            app_label = "tests_app"

    row = Permanent.objects.get_for_model(Order, for_concrete_model=True)
    proxied = Permanent.objects.get(pk=row.pk)
    try:
        assert type(round_trip(proxied)) is Permanent
    finally:
        Permanent._meta.apps.all_models["tests_app"].pop("permanent")
        Permanent._meta.apps.clear_cache()
    with pytest.raises(NotSerializable, match="not an installed app's"):
        dumps(proxied, what=WHAT)


def test_the_base_manager_reads_so_that_no_filter_hides_a_row() -> None:
    group = Group.objects.create(name="g")
    user = User.objects.create(username="u", is_active=False)
    assert round_trip([user, group]) == [user, group]


def test_the_alias_travels_when_it_is_not_the_default() -> None:
    order = Order.objects.create(number="a")
    order._state.db = "elsewhere"
    text = dumps(order, what=WHAT)
    assert '"db":"elsewhere"' in text
    with pytest.raises(PayloadCorrupted, match="DATABASES has no 'elsewhere'"):
        loads(text, what=WHAT)


def test_a_registered_model_is_its_users_business() -> None:
    class Snapshot(Account):
        class Meta:
            proxy = True
            app_label = "tests_app"

    register_type(Snapshot, encode=lambda row: row.name, decode=lambda name: Snapshot(name=name))
    try:
        assert round_trip([Snapshot(name="unsaved")])[0].name == "unsaved"
    finally:
        models.base.apps.all_models["tests_app"].pop("snapshot")
        models.base.apps.clear_cache()


def test_exceptions_carry_references_and_do_without_their_class_when_the_row_is_gone() -> None:
    order = Order.objects.create(number="a")
    text = dump_error(ValueError(order))
    back = load_error(text)
    assert type(back) is ValueError
    assert back.args == (order,)
    order.delete()
    assert load_error(text) is None

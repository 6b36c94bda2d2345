"""Registered classes: what may be built from a row, and only that."""

from __future__ import annotations

import dataclasses
import enum
import functools
import sys
import typing
from collections.abc import Callable
from dataclasses import InitVar, dataclass, field
from typing import Annotated, Any, Generic, Literal, NewType, TypeVar

import pytest
from django.db import OperationalError
from django.db.models import TextChoices
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, RootModel, SecretStr, create_model

from durable_workflows.exceptions import InvalidUse, NotSerializable, PayloadCorrupted, RegistrationConflict
from durable_workflows.serializers import dumps, loads, register_annotations, register_type

if typing.TYPE_CHECKING:
    from nowhere import NeverImported  # type: ignore[import-not-found]

WHAT = "argument 'order' of workflow 'checkout'"
T = TypeVar("T")


def round_trip(value: Any) -> Any:
    return loads(dumps(value, what=WHAT), what=WHAT)


@register_type
class Color(enum.Enum):
    RED = 1
    CRIMSON = 1  # noqa: PIE796  an alias is among the things under test
    BLUE = (2, "b")


class Permission(enum.Flag):
    READ = 1
    WRITE = 2


class Weight(enum.IntEnum):
    LIGHT = 1


class Size(TextChoices):
    SMALL = "s", "small"


register_type(Permission)
register_type(Weight)
register_type(Size)


@pytest.mark.parametrize("member", [Color.RED, Color.CRIMSON, Color.BLUE, Weight.LIGHT, Size.SMALL, Permission.WRITE])
def test_members_come_back_as_themselves(member: enum.Enum) -> None:
    assert round_trip([member])[0] is member


def test_flags_come_back_combined() -> None:
    both = Permission.READ | Permission.WRITE
    assert round_trip([both, Permission(0)]) == [both, Permission(0)]


def test_a_member_that_is_gone_is_named() -> None:
    text = dumps(Color.RED, what=WHAT).replace("RED", "GREEN")
    with pytest.raises(PayloadCorrupted, match=r"Color.*has no member 'GREEN'"):
        loads(text, what=WHAT)


@register_type
@dataclass
class Line:
    sku: str
    count: int = 1


@register_type
@dataclass(frozen=True, slots=True, kw_only=True)
class Basket:
    lines: tuple[Line, ...]
    color: Color | None = None
    total: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "total", sum(line.count for line in self.lines))


def test_dataclasses_come_back_with_what_they_hold() -> None:
    basket = Basket(lines=(Line("a"), Line("b", 2)), color=Color.BLUE)
    back = round_trip({"basket": basket})["basket"]
    assert back == basket
    assert (type(back), type(back.lines), type(back.lines[1]), back.total) == (Basket, tuple, Line, 3)


def test_a_field_set_after_init_comes_back_as_it_is_now() -> None:
    basket = Basket(lines=())
    object.__setattr__(basket, "total", 99)
    assert round_trip(basket).total == 99


def test_the_place_inside_of_a_dataclass_is_an_attribute() -> None:
    with pytest.raises(NotSerializable) as refused:
        dumps([Basket(lines=(Line("a", 1j),))], what=WHAT)  # type: ignore[arg-type]
    assert "argument[0].lines[0].count, of the type complex" in str(refused.value)


def test_fields_that_are_new_get_their_default_and_those_that_are_gone_are_named() -> None:
    text = dumps(Line("a", 7), what=WHAT)
    assert loads(text.replace(',"count":7', ""), what=WHAT) == Line("a", 1)
    with pytest.raises(PayloadCorrupted, match=r"cannot be rebuilt .*'price'.*class change"):
        loads(text.replace('"count"', '"price"'), what=WHAT)
    with pytest.raises(PayloadCorrupted, match=r"cannot be rebuilt .*'sku'"):
        loads(text.replace('"sku":"a",', ""), what=WHAT)


def test_a_post_init_that_changes_its_own_fields_is_refused_when_written() -> None:
    @register_type
    @dataclass
    class Counter:
        count: int

        def __post_init__(self) -> None:
            self.count += 1

    with pytest.raises(NotSerializable, match="come back with another 'count'"):
        dumps(Counter(1), what=WHAT)


def test_an_init_of_ones_own_that_changes_the_fields_is_refused_when_written() -> None:
    @register_type
    @dataclass
    class Rounded:
        amount: float

        def __init__(self, amount: float) -> None:
            self.amount = int(amount)

    rounded = Rounded(1.5)
    assert round_trip(rounded) == rounded
    rounded.amount = 1.5
    with pytest.raises(NotSerializable, match="come back with another 'amount'"):
        dumps(rounded, what=WHAT)


def test_a_post_init_that_refuses_its_own_fields_is_refused_when_written() -> None:
    @register_type
    @dataclass
    class Once:
        text: Any

        def __post_init__(self) -> None:
            self.text = self.text.split()

    with pytest.raises(NotSerializable, match="cannot be rebuilt from its own fields .*AttributeError"):
        dumps(Once("a b"), what=WHAT)


def test_dataclasses_that_cannot_be_rebuilt_are_refused_when_registered() -> None:
    @dataclass
    class Sealed:
        key: InitVar[str]
        name: str = ""

        def __post_init__(self, key: str) -> None:
            self.name = key

    with pytest.raises(InvalidUse, match="requires key"):
        register_type(Sealed)

    @dataclass
    class Listed(list[int]):
        name: str = ""

    with pytest.raises(InvalidUse, match="builtin container"):
        register_type(Listed)


@dataclass
class Parent:
    name: str = "p"


class Child(Parent):
    pass


def test_subclasses_are_not_covered() -> None:
    register_type(Parent)
    with pytest.raises(NotSerializable, match="Child"):
        dumps(Child(), what=WHAT)
    with pytest.raises(InvalidUse, match="encode= and decode="):
        register_type(Child)


class Account(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")

    id: int = Field(alias="account-id")
    parts: tuple[int, ...] = ()
    anything: Any = None
    made_by: str = Field(default="nobody", exclude=True)
    _hits: int = PrivateAttr(default=0)

    @functools.cached_property
    def lock(self) -> Any:
        return object()


class Team(BaseModel):
    accounts: list[Account]
    by_color: dict[str, Color] = {}


class Numbers(RootModel[list[int]]):
    pass


for model in (Account, Team, Numbers):
    register_type(model)


def test_pydantic_models_come_back_whole() -> None:
    account = Account(**{"account-id": 7, "parts": (1, 2), "anything": (1.0, True), "nick": "x"})
    account._hits = 3
    _ = account.lock
    back = round_trip(Team(accounts=[account], by_color={"r": Color.RED}))
    assert type(back) is Team
    assert back.by_color == {"r": Color.RED}
    [found] = back.accounts
    assert (found.id, found.parts, found.made_by, found._hits, found.nick) == (7, (1, 2), "nobody", 3, "x")
    assert [type(item) for item in found.anything] == [float, bool]
    assert found.model_fields_set == account.model_fields_set
    assert found.model_dump() == account.model_dump()


def test_pydantic_root_models_come_back() -> None:
    assert round_trip(Numbers([1, 2])) == Numbers([1, 2])


def test_pydantic_secrets_are_refused_not_masked() -> None:
    class Login(BaseModel):
        password: SecretStr

    register_type(Login)
    with pytest.raises(NotSerializable, match="SecretStr") as refused:
        dumps(Login(password=SecretStr("hunter2")), what=WHAT)
    assert "hunter2" not in str(refused.value)


def test_pydantic_fields_that_are_new_get_their_default_and_those_that_are_gone_are_named() -> None:
    def define(**fields: Any) -> Any:
        return register_type(create_model("Changing", __module__=__name__, **fields), name="changing")

    text = dumps(define(a=(int, ...))(a=1), what=WHAT)
    assert loads(text, what=WHAT).a == 1
    define(a=(int, ...), b=(list[int], Field(default_factory=list)))
    assert loads(text, what=WHAT).b == []
    define(a=(int, ...), c=(int, ...))
    with pytest.raises(PayloadCorrupted, match="now requires the field c"):
        loads(text, what=WHAT)
    define(b=(int, 1))
    with pytest.raises(PayloadCorrupted, match="has no field a any more"):
        loads(text, what=WHAT)


class Money:
    def __init__(self, amount: int) -> None:
        self.amount = amount

    def __eq__(self, other: object) -> bool:
        return type(other) is Money and other.amount == self.amount

    def __hash__(self) -> int:
        return hash(self.amount)


def test_a_class_of_any_kind_with_both_functions() -> None:
    assert register_type(Money, name="money", encode=lambda money: (money.amount,), decode=lambda parts: Money(*parts)) is Money
    text = dumps({"$": [Money(3)]}, what=WHAT)
    assert loads(text, what=WHAT) == {"$": [Money(3)]}
    assert '"name":"money"' in text


def test_a_registration_covers_a_subclass_of_a_builtin() -> None:
    class Path(str):
        __slots__ = ()

    register_type(Path, encode=str.__str__, decode=Path)
    assert type(round_trip([Path("a")])[0]) is Path


def test_a_further_name_is_written_from_then_on_and_both_are_read() -> None:
    @dataclass
    class Moved:
        x: int

    register_type(Moved, name="old.Moved")
    text = dumps(Moved(1), what=WHAT)
    register_type(Moved, name="new.Moved")
    assert '"new.Moved"' in dumps(Moved(1), what=WHAT)
    assert loads(text, what=WHAT) == Moved(1)


def test_the_same_place_replaces_and_another_conflicts() -> None:
    def define() -> type:
        @dataclass
        class Reloaded:
            x: int

        return register_type(Reloaded, name="reloaded")

    first, second = define(), define()
    assert type(round_trip(first(1))) is second
    assert register_type(second, name="reloaded") is second
    with pytest.raises(RegistrationConflict, match=r"reloaded.*Reloaded.*Money"):
        register_type(Money, name="reloaded", encode=vars, decode=lambda parts: Money(**parts))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((5,), "takes a class"),
        ((str,), "by nature"),
        ((Money,), "encode= and decode="),
        ((Money, None, vars), "both of them"),
        ((Money, None, None, Money), "both of them"),
        ((Color, ""), "name must be"),
        ((Color, 5), "name must be"),
    ],
)
def test_registrations_that_cannot_work(arguments: tuple[Any, ...], said: str) -> None:
    with pytest.raises(InvalidUse, match=said):
        register_type(*arguments)


def register_failing(error: Exception) -> type:
    class Failing:
        pass

    def fail(value: Any) -> Any:
        raise error

    return register_type(Failing, encode=lambda value: None, decode=fail)


def test_what_a_users_functions_raise_is_explained() -> None:
    class Broken:
        pass

    register_type(Broken, encode=lambda value: 1 / 0, decode=lambda stored: Broken())
    with pytest.raises(NotSerializable, match=r"argument\[0\].*Broken.*ZeroDivisionError") as refused:
        dumps([Broken()], what=WHAT)
    assert isinstance(refused.value.__cause__, ZeroDivisionError)
    with pytest.raises(PayloadCorrupted, match=r"Failing.*RuntimeError: no"):
        round_trip(register_failing(RuntimeError("no"))())


def test_the_databases_trouble_is_not_the_payloads() -> None:
    with pytest.raises(OperationalError):
        round_trip(register_failing(OperationalError("gone away"))())


def test_an_encode_that_goes_in_circles_is_refused() -> None:
    class Circle:
        pass

    register_type(Circle, encode=lambda value: value, decode=lambda stored: stored)
    with pytest.raises(NotSerializable, match="contains itself"):
        dumps(Circle(), what=WHAT)


class Currency(enum.Enum):
    EUR = "eur"


class Country(enum.Enum):
    DE = "de"


class Kind(enum.Enum):
    NEW = "new"


class Unit(enum.Enum):
    KG = "kg"


@dataclass
class Inner:
    currency: Currency


@dataclass
class Box(Generic[T]):
    content: T


class Form(BaseModel):
    inner: list[Inner] | None = None


class Options(typing.TypedDict, total=False):
    country: Country


Alias = NewType("Alias", Unit)


def test_annotations_register_what_they_name_however_deep() -> None:
    def checkout(
        form: Annotated[Form, "doc"],
        kind: Literal[Kind.NEW],
        *boxes: Box[Alias],
        options: Options,
        call: Callable[[Line], None],
    ) -> Later: ...

    register_annotations(checkout)
    options = {"country": Country.DE}
    value = [Form(inner=[Inner(Currency.EUR)]), Kind.NEW, Box(Unit.KG), options, Later(1)]
    assert round_trip(value) == value


@dataclass
class Later:
    """Stands below the function that names it, as in many a module."""

    x: int


@dataclass
class BesideUnresolved:
    x: int


def test_an_annotation_that_cannot_be_resolved_hides_no_other() -> None:
    def charge(order: NeverImported, other: BesideUnresolved) -> "not even an expression": ...  # type: ignore[syntax]  # noqa: F722

    register_annotations(charge)
    assert round_trip(BesideUnresolved(1)) == BesideUnresolved(1)


def test_classes_of_an_enclosing_function_are_found_where_the_body_uses_them() -> None:
    @dataclass
    class Local:
        x: int

    def step() -> Local:
        return Local(1)

    register_annotations(step)
    assert round_trip(step()) == Local(1)


def test_what_annotations_found_is_read_in_a_process_that_wrote_nothing() -> None:
    @dataclass
    class OnlyRead:
        x: int

    def step(value: OnlyRead) -> None:
        assert OnlyRead

    register_annotations(step)
    name = f"{OnlyRead.__module__}.{OnlyRead.__qualname__}"
    assert loads(f'{{"$":"type","name":"{name}","v":{{"x":5}}}}', what=WHAT) == OnlyRead(5)


def test_annotations_do_not_overrule_register_type() -> None:
    @dataclass
    class Named:
        x: int

    def step(value: Named) -> None:
        assert Named

    register_type(Named, name="named")
    register_annotations(step)
    assert '"name":"named"' in dumps(Named(1), what=WHAT)
    with pytest.raises(NotSerializable):  # looks at the annotations, too
        dumps(Child(), what=WHAT)
    assert '"name":"named"' in dumps(Named(1), what=WHAT)


def test_annotations_leave_out_what_cannot_be_rebuilt() -> None:
    @dataclass
    class Sealed:
        key: InitVar[str]

    def step(value: Sealed) -> None:
        assert Sealed

    register_annotations(step)
    with pytest.raises(NotSerializable, match=r"register_type\(.*Sealed\)"):
        dumps(Sealed("k"), what=WHAT)


@pytest.mark.parametrize(
    "func", [len, functools.partial(print), int, object()], ids=["a builtin", "a partial", "a class", "an object"]
)
def test_anything_may_be_asked_for_annotations(func: Any) -> None:
    register_annotations(func)
    assert round_trip(Color.RED) is Color.RED


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the type statement came with Python 3.12")
def test_aliases_that_contain_themselves_end() -> None:
    names: dict[str, Any] = {"dataclass": dataclasses.dataclass}
    exec(  # the statement is a syntax error in 3.11
        "@dataclass\nclass Leaf:\n    x: int\ntype Tree = Leaf | list[Tree]\ndef step(tree: Tree): ...\n", names
    )
    register_annotations(names["step"])
    assert round_trip([names["Leaf"](1)]) == [names["Leaf"](1)]

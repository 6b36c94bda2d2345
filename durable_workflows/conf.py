"""
The only reader of Django's settings: one dict, ``DURABLE_WORKFLOWS``, every key optional, read at use.

>>> from durable_workflows.conf import config
>>> config().lease_seconds
30.0
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from inspect import iscoroutinefunction
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

SETTING = "DURABLE_WORKFLOWS"
MOST_SECONDS = 10**9  # some thirty years
# Upper and lower case, hyphens and underscores do not count. "*token" leaves "max_tokens" alone.
REDACT = (
    "*password", "passwd", "pwd", "passphrase", "*secret", "*secret_key", "*private_key", "*api_key", "*access_key", "*token",
    "authorization", "*cookie", "*credentials", "card_number", "cvc", "cvv", "ssn", "pin",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The product's settings; each field is the upper-case key of the same name. Durations are in seconds."""

    app_version: str = ""  # "" is claimable by any worker
    executor_id: str = ""  # a prefix of the worker's id, to tell hosts apart; "" takes the host's name
    threads: int = 16  # runs that one worker process executes at once
    lease_seconds: float = 30.0  # a worker silent for longer has lost its runs
    heartbeat_seconds: float = 5.0
    poll_seconds: float = 1.0  # how often an idle worker looks; hints make it rare that this is waited for
    park_seconds: float = 1.0  # a wait expected to be shorter keeps its thread; 0 switches parking off
    payload_max_bytes: int = 8 * 1024 * 1024
    shutdown_grace_seconds: float = 10.0  # how long a stopping worker lets steps finish before it hands back
    long_transaction_seconds: float = 5.0  # a step's transaction open for longer is warned about, by name
    body_writes: str = "warn"  # ORM writes in a workflow body outside steps: "allow", "warn" or "raise"
    prepared_statements: bool = True  # for the hot statements on PostgreSQL; switch off behind an old PgBouncer
    listen: bool = True  # LISTEN/NOTIFY on PostgreSQL; switch off behind PgBouncer in transaction mode
    retention: Mapping[str, Any] = field(default_factory=dict)  # days for which ended runs are kept; see ``retention``
    workflows_module: str = "workflows"  # autodiscovered in each installed app
    redact: Sequence[str] = REDACT  # keys of payloads whose values nobody reads in the admin
    api_authenticate: str = ""  # the dotted path of a callable by which requests of the API are authenticated, beside sessions


KEYS = {field.name.upper(): field.name for field in fields(Config)}


@cache
def config() -> Config:
    """
    The settings in force.

    :raises ImproperlyConfigured: if ``DURABLE_WORKFLOWS`` is not a dict, or a value is out of range. Unknown keys are
        left to the system check ``durable_workflows.E001``.
    """
    return build(given())


def given() -> Mapping[str, Any]:
    """The dict as the project wrote it."""
    value = getattr(settings, SETTING, {})
    if not isinstance(value, Mapping):
        raise ImproperlyConfigured(f"{SETTING} must be a dict of settings, not {type(value).__name__}.")
    return value


def build(values: Mapping[str, Any]) -> Config:
    """A checked ``Config`` out of upper-case keys; unknown ones are left out."""
    made = Config(**{KEYS[key]: value for key, value in values.items() if key in KEYS})
    for problem in problems(made):
        raise ImproperlyConfigured(problem)
    return made


def problems(config: Config) -> list[str]:
    """What is wrong with the values, each as a sentence that says how to mend it."""
    found = [
        f"{SETTING}[{name.upper()!r}] must be {numbers}, not {value!r}."
        for names, numbers, fits in _RANGES
        for name in names
        if not fits(value := getattr(config, name))
    ]
    if not found and config.heartbeat_seconds * 2 > config.lease_seconds:
        found.append(f"{SETTING}: HEARTBEAT_SECONDS must be at most half of LEASE_SECONDS, or live workers look dead.")
    if config.body_writes not in ("allow", "warn", "raise"):
        found.append(f"{SETTING}['BODY_WRITES'] must be 'allow', 'warn' or 'raise', not {config.body_writes!r}.")
    if not _are_globs(config.redact):
        found.append(f"{SETTING}['REDACT'] must be a list of names of keys, with * and ?, not {config.redact!r:.200}.")
    return found


def _are_globs(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(glob, str) and glob.strip("-_ ") for glob in value)


def _is_number(value: Any, kinds: type | tuple[type, ...] = (int, float)) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


# Neither infinity nor NaN, nor what no lock and no timedelta can wait for.
_RANGES: tuple[tuple[tuple[str, ...], str, Callable[[Any], bool]], ...] = (
    (("threads", "payload_max_bytes"), "a whole number of at least 1", lambda value: _is_number(value, int) and value >= 1),
    (
        ("lease_seconds", "heartbeat_seconds", "poll_seconds"),
        f"a positive number of seconds, at most {MOST_SECONDS:,}",
        lambda value: _is_number(value) and 0 < value <= MOST_SECONDS,
    ),
    (
        ("park_seconds", "shutdown_grace_seconds", "long_transaction_seconds"),
        f"a number of seconds from 0 to {MOST_SECONDS:,}",
        lambda value: _is_number(value) and 0 <= value <= MOST_SECONDS,
    ),
)


def workflows_module() -> str:
    """Which module of each app is autodiscovered; read leniently, so that a bad setting meets the system checks."""
    value = getattr(settings, SETTING, None)
    found = value.get("WORKFLOWS_MODULE", "workflows") if isinstance(value, Mapping) else "workflows"
    return found if isinstance(found, str) else "workflows"


def callable_named(key: str) -> Callable[..., Any] | None:
    """
    The callable that a setting names by its dotted path; None if the setting is empty. Settings are code, and no rows.

    :param key: the setting's, as a field of ``Config``.
    :raises ImproperlyConfigured: if there is no such callable.
    """
    path = getattr(config(), key)
    if not path:
        return None
    try:
        found = import_string(path)
    except ImportError as error:
        raise ImproperlyConfigured(f"{SETTING}[{key.upper()!r}] is {path!r}, which cannot be imported: {error}") from error
    if not callable(found) or iscoroutinefunction(found):
        raise ImproperlyConfigured(f"{SETTING}[{key.upper()!r}] is {path!r}, which is no plain function that can be called.")
    return found  # type: ignore[no-any-return]  # callable() says no more


def project_setting(name: str) -> Any:
    """A setting that is the project's own, by its name; None if there is none."""
    return getattr(settings, name, None)


def uses_time_zones() -> bool:
    """Whether the project stores aware datetimes."""
    return bool(settings.USE_TZ)


def has_routers() -> bool:
    """Whether somebody else than Django says on which database a model lives."""
    return bool(settings.DATABASE_ROUTERS)


def debug() -> bool:
    """Whether the project runs in DEBUG mode, where the worker reloads itself."""
    return bool(settings.DEBUG)


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == SETTING:
        config.cache_clear()


setting_changed.connect(_forget, dispatch_uid="durable_workflows.conf")

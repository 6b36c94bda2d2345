"""The secrets that a webhook shares with its sender: looked up at each use, and never silently none."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.views.decorators.debug import sensitive_variables

from durable_workflows.conf import project_setting
from durable_workflows.exceptions import InvalidUse
from durable_workflows.web.signatures import as_bytes

Source = str | Callable[[], Any]

_SETTING = re.compile(r"[A-Z][A-Z0-9_]*")


def valid_source(source: Source) -> Source:
    """
    ``source`` itself, when secrets can be looked up in it.

    :raises InvalidUse: if it is neither a callable nor the name of a setting; it is not quoted, for it may be a secret.
    """
    if callable(source) or (isinstance(source, str) and _SETTING.fullmatch(source)):
        return source
    raise InvalidUse(
        "A webhook's secret is the name of a setting, such as 'CARRIER_WEBHOOK_SECRET', or a callable that returns the secret."
        " What was given is neither; if it is the secret itself, keep that out of the code."
    )


@sensitive_variables()
def secrets_of(source: Source, whose: str) -> list[bytes]:
    """
    The secrets in force; several while one is being replaced by another.

    :param whose: the webhook, for the message.
    :raises ImproperlyConfigured: if there is none, or one is blank or neither str nor bytes.
    """
    found = project_setting(source) if isinstance(source, str) else source()
    several = list(found) if isinstance(found, (list, tuple)) else [found]
    if not several or not all(isinstance(secret, (str, bytes)) and secret.strip() for secret in several):
        raise ImproperlyConfigured(
            f"The webhook {whose} has no secret to check signatures with, so it accepts nothing. Its setting, or what its"
            " callable returns, must be a str or bytes that is not blank, or a list of such."
        )
    return [as_bytes(secret) for secret in several]

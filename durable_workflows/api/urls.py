"""The addresses of the API, made of the table of its endpoints."""

from __future__ import annotations

import re

from django.urls import URLPattern, path, re_path, register_converter

from durable_workflows.api.table import by_path
from durable_workflows.api.views import NAMESPACE, view_of


class AnyText:
    """An id or a name: any text, with slashes and line breaks in it too."""

    regex = r"[\s\S]+"

    def to_python(self, value: str) -> str:
        """The text itself."""
        return value

    def to_url(self, value: str) -> str:
        """The text itself; Django encodes what an address cannot have."""
        return value


register_converter(AnyText, "durable_text")

app_name = NAMESPACE
urlpatterns: list[URLPattern] = [
    path(re.sub(r"\{(\w+)\}", r"<durable_text:\1>", route), view_of(endpoints), name=endpoints[0].name)
    for route, endpoints in by_path().items()
]
urlpatterns.append(re_path(r"[\s\S]*", view_of([]), name="nothing"))  # a JSON answer in the place of the site's page

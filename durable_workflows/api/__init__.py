"""
The JSON API: what scripts and other services see and do, over HTTP.

A project includes it: ``path("durable/api/", include("durable_workflows.api.urls"))``. ``table`` has all endpoints.
What routes, checks and describes them (``urls``, ``views``, ``openapi``) reads nothing else, so none says what others do not.
"""

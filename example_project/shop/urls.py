"""Addresses of the shop."""

from __future__ import annotations

from django.urls import path

from example_project.shop import views

app_name = "shop"
urlpatterns = [
    path("", views.index, name="index"),
    path("checkouts/<str:run_id>/", views.watch, name="watch"),
    path("checkouts/<str:run_id>/progress/", views.progress, name="progress"),
    path("checkouts/<str:run_id>/call-off/", views.call_off, name="call-off"),
    path("checkouts/<str:run_id>/again/", views.again, name="again"),
    path("checkouts/<str:run_id>/crash/", views.crash_worker, name="crash"),
]

"""Addresses of the webhook and its pages."""

from __future__ import annotations

from django.urls import path

from example_project.hooks import views

app_name = "hooks"
urlpatterns = [
    path("", views.index, name="index"),
    path("list/", views.listing, name="listing"),
    path("in/", views.receive, name="receive"),
    path("send/", views.send_event, name="send"),
]

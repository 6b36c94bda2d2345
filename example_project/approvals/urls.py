"""Addresses of the approvals."""

from __future__ import annotations

from django.urls import path

from example_project.approvals import views

app_name = "approvals"
urlpatterns = [
    path("", views.index, name="index"),
    path("list/", views.listing, name="listing"),
    path("answer/<str:token>/", views.Answer.as_view(), name="answer"),
]

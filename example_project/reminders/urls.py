"""Addresses of the reminders."""

from __future__ import annotations

from django.urls import path

from example_project.reminders import views

app_name = "reminders"
urlpatterns = [
    path("", views.index, name="index"),
    path("list/", views.listing, name="listing"),
    path("<int:pk>/cancel/", views.cancel, name="cancel"),
]

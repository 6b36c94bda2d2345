"""Addresses of the reports."""

from __future__ import annotations

from django.urls import path

from example_project.reports import views

app_name = "reports"
urlpatterns = [
    path("", views.index, name="index"),
    path("list/", views.listing, name="listing"),
    path("pause/", views.pause, name="pause"),
    path("resume/", views.resume, name="resume"),
    path("backfill/", views.backfill, name="backfill"),
]

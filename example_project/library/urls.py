"""Addresses of the library."""

from __future__ import annotations

from django.urls import path

from example_project.library import views

app_name = "library"
urlpatterns = [
    path("", views.index, name="index"),
    path("build/", views.build, name="build"),
    path("state/", views.state, name="state"),
    path("texts/<str:path>/index/", views.reindex, name="reindex"),
    path("texts/<str:path>", views.read, name="read"),
]

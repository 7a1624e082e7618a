"""A Django site for the tests: one view, which calls whatever a test has put in `view`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import django
from django.conf import settings
from django.http import HttpRequest
from django.urls import path

view: list[Callable[[HttpRequest], Any]] = []

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    MIDDLEWARE=["hypern.middleware.django.DatabaseMiddleware"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    LOGGING_CONFIG=None,
)
django.setup()


def plain(request: HttpRequest) -> Any:
    """A view that is a function."""
    return view[-1](request)


async def coroutine(request: HttpRequest) -> Any:
    """A view that is a coroutine function."""
    answer = view[-1](request)
    return await answer if inspect.isawaitable(answer) else answer


urlpatterns = [path("plain", plain), path("async", coroutine)]

"""The bank in Django, for the load."""

from __future__ import annotations

import json
import sys

from django.core.management import execute_from_command_line
from django.http import HttpRequest, JsonResponse
from django.urls import path
from web.served import moves

from examples import django_app
from examples.django_app import application, asgi_application

__all__ = ["application", "asgi_application"]


def move(request: HttpRequest) -> JsonResponse:
    """Move money."""
    return JsonResponse(moves.move(json.loads(request.body)))


async def move_awaited(request: HttpRequest) -> JsonResponse:
    """Move money in a view that is a coroutine."""
    return JsonResponse(await moves.amove(json.loads(request.body)))


django_app.urlpatterns += [path("moves", move), path("moves/awaited", move_awaited)]

if __name__ == "__main__":
    execute_from_command_line(sys.argv)

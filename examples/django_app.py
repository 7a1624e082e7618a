"""The bank in Django, in one file: `python -m examples.django_app runserver`.

`application` is its WSGI application, `asgi_application` its ASGI one.
"""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from typing import Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.urls import path

from examples import bank
from hypern.database import db
from hypern.errors import CheckViolation

bank.configure()
settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    MIDDLEWARE=["hypern.middleware.django.DatabaseMiddleware"],
    # The database of Django's ORM, which is independent of hypern.
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)
django.setup()


def open_account(request: HttpRequest) -> JsonResponse:
    """Open an account."""
    data: Any = json.loads(request.body)
    number = bank.open_account(data["name"], Decimal(data["balance"]))
    return JsonResponse({"id": number}, status=201)


def account(request: HttpRequest, number: int) -> JsonResponse:
    """Show an account."""
    row = db(request).query_one_or_none(
        "SELECT id, name, balance FROM accounts WHERE id = $1", [number]
    )
    if row is None:
        return JsonResponse({"error": f"no account {number}"}, status=404)
    return JsonResponse(row)


def transfer(request: HttpRequest) -> JsonResponse:
    """Move money."""
    data: Any = json.loads(request.body)
    try:
        bank.transfer(data["source"], data["target"], Decimal(data["amount"]))
    except CheckViolation:
        return JsonResponse({"error": "not enough money"}, status=409)
    except bank.NoAccountError as error:
        return JsonResponse({"error": str(error)}, status=404)
    return JsonResponse({"moved": data["amount"]})


def lines(request: HttpRequest) -> StreamingHttpResponse:
    """List all accounts, sent while they are read."""
    return StreamingHttpResponse(bank.lines(), content_type="text/plain")


urlpatterns = [
    path("accounts", open_account),
    path("accounts/<int:number>", account),
    path("transfers", transfer),
    path("lines", lines),
]

application = get_wsgi_application()
asgi_application = get_asgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)

"""A Django site on the backend, which has used the database before a server forks its workers."""

from __future__ import annotations

import json
import os
import sys

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, JsonResponse
from django.urls import path

from hypern.config.parse import parse
from hypern.database import adb, db

_given = parse(os.environ["DATABASE_URL"])

if not settings.configured:
    settings.configure(
        DATABASES={
            "default": {
                "ENGINE": "hypern.django",
                "NAME": _given["dbname"],
                "USER": _given["user"],
                "PASSWORD": _given.get("password", ""),
                "HOST": _given["host"],
                "PORT": _given.get("port", ""),
                "CONN_MAX_AGE": int(os.environ.get("CONN_MAX_AGE", "0")),
                "ATOMIC_REQUESTS": True,
            }
        },
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
        USE_TZ=True,
        SECRET_KEY="served",
        DEBUG=True,
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["*"],
        MIDDLEWARE=["hypern.middleware.django.DatabaseMiddleware"],
    )
    django.setup()

from django.contrib.auth.models import Group  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import transaction  # noqa: E402


def both(request: HttpRequest, then: str) -> JsonResponse:
    """Write with the ORM and with SQL; fail if told so."""
    before = Group.objects.count()
    Group.objects.create(name=f"orm {before}")
    db(request).execute("INSERT INTO auth_group (name) VALUES ($1)", [f"sql {before}"])
    assert Group.objects.count() == before + 2
    if then == "fail":
        raise ValueError(then)
    pid = db().query_value("SELECT pg_backend_pid()")
    return JsonResponse({"rows": before + 2, "worker": os.getpid(), "backend": pid})


@transaction.non_atomic_requests
async def awaited(request: HttpRequest) -> JsonResponse:
    """The same in a coroutine, whose two connections see what the other has committed."""
    await Group.objects.filter(name="awaited").adelete()
    await adb().execute("INSERT INTO auth_group (name) VALUES ('awaited')")
    found = await Group.objects.filter(name="awaited").acount()
    return JsonResponse({"found": found, "worker": os.getpid()})


def loaded(request: HttpRequest, path: str) -> JsonResponse:
    """When the module was loaded: its process."""
    return JsonResponse({"worker": os.getpid()})


urlpatterns = [
    path("both/<then>", both),
    path("awaited", awaited),
    path("<path:path>", loaded),
]

if os.environ.get("USED_BEFORE_THE_FORK"):
    with transaction.atomic():
        print(json.dumps({"rows": Group.objects.count()}), file=sys.stderr)
    db().execute("SELECT 1")

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
else:
    application = get_wsgi_application()
    asgi_application = get_asgi_application()

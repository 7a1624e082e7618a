"""A Django project with `ENGINE = "hypern.django"`, in a process of its own for each test."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from typing import Any

import pytest
from support import RunPython

from hypern.config.parse import parse

Project = Callable[..., str]

SETUP = """
import json, os, sys

given = json.loads(sys.argv[1])
if given.pop("hide_psycopg"):
    class Hidden:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in ("psycopg", "psycopg2") and path is None:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    sys.meta_path.insert(0, Hidden())

import django
from django.conf import settings
from hypern.database import Database, adb, db, scope
from hypern.errors import Error, InterfaceError, TransactionAborted

settings.configure(
    DATABASES={"default": given},
    INSTALLED_APPS=[
        "hypern.django", "django.contrib.postgres", "django.contrib.contenttypes",
        "django.contrib.auth",
    ],
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    LOGGING_CONFIG=None,
    MIDDLEWARE=["hypern.middleware.django.DatabaseMiddleware"],
    ROOT_URLCONF="__main__",
    ALLOWED_HOSTS=["*"],
)
django.setup()
from django.core.management import call_command
from django.db import connection, models, transaction
from django.contrib.auth.models import Group

urlpatterns = []

def tables(*made):
    with connection.schema_editor() as editor:
        for model in made:
            editor.create_model(model)

def names():
    return sorted(Group.objects.values_list("name", flat=True))

def raised(kind, do, *args, **keywords):
    try:
        do(*args, **keywords)
    except kind as error:
        return str(error)
    raise AssertionError(f"{kind.__name__} was not raised")

call_command("migrate", verbosity=0)
"""


@pytest.fixture(params=["beside psycopg", "without psycopg"])
def project(request: pytest.FixtureRequest, run_python: RunPython, database: str) -> Project:
    """Run code in such a project on the module's database; its groups are gone before."""
    given = parse(database)
    entry: dict[str, Any] = {
        "ENGINE": "hypern.django",
        "NAME": given["dbname"],
        "USER": given["user"],
        "PASSWORD": given.get("password", ""),
        "HOST": given["host"],
        "PORT": given.get("port", ""),
        "hide_psycopg": request.param == "without psycopg",
    }

    def run(code: str, **changes: Any) -> str:
        code = SETUP + "Group.objects.all().delete()\n" + textwrap.dedent(code)
        return run_python(code, json.dumps({**entry, **changes})).stdout.strip()

    return run

"""pytest-django on this backend: its tests cover the ORM and `db()`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from hypern.config.parse import parse

SETTINGS = """
DATABASES = {{"default": {entry!r}}}
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth"]
USE_TZ = True
SECRET_KEY = "pytest"
"""

TESTS = """
import pytest
from django.contrib.auth.models import Group
from django.db import connection, transaction
from hypern.database import Database, db

def both():
    Group.objects.create(name="orm")
    db().execute("INSERT INTO auth_group (name) VALUES ('sql')")
    assert db().query_value("SELECT count(*) FROM auth_group") == Group.objects.count() == 2

@pytest.mark.django_db
@pytest.mark.parametrize("n", range(2))
def test_is_undone(n):
    both()
    with db().transaction():
        Group.objects.create(name="nested")

@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("n", range(2))
def test_commits_and_is_flushed(n):
    both()
    assert connection.get_autocommit() and not db().is_in_transaction

@pytest.mark.django_db
def test_on_commit(django_capture_on_commit_callbacks):
    seen = []
    with django_capture_on_commit_callbacks(execute=True):
        db().on_commit(lambda: seen.append("db"))
        transaction.on_commit(lambda: seen.append("orm"))
    assert seen == ["db", "orm"]

def test_the_database_needs_the_mark():
    with pytest.raises(RuntimeError, match="Database access not allowed"):
        Group.objects.count()
    with pytest.raises(RuntimeError, match="Database access not allowed"):
        db()

@pytest.mark.django_db
def test_of_a_test_database():
    assert db().query_value("SELECT current_database()").startswith("test_")

def test_statements_are_counted(db, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert not Group.objects.exists()
"""


def test_pytest_django(database: str, tmp_path: Path) -> None:
    given = parse(database)
    entry = {
        "ENGINE": "hypern.django",
        "NAME": given["dbname"],
        "USER": given["user"],
        "PASSWORD": given.get("password", ""),
        "HOST": given["host"],
        "PORT": given.get("port", ""),
    }
    (tmp_path / "project_settings.py").write_text(SETTINGS.format(entry=entry))
    (tmp_path / "pytest.ini").write_text("[pytest]\nDJANGO_SETTINGS_MODULE = project_settings\n")
    (tmp_path / "test_app.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_app.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 passed" in done.stdout, done.stdout

"""Django: aliases that are found in the project's settings, and the test runner's databases.

Each test is a project in a process of its own, since Django is set up once in a process.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import RunPython

from hypern.config.parse import parse
from hypern.database import Database, db, scope

Project = Callable[..., str]

SETUP = """
import json, logging, sys
import django
from django.conf import settings
from hypern.database import Database, db, finalize_db, register_type, scope
from hypern.errors import ConfigurationError

DATABASES = {"default": json.loads(sys.argv[1])}

def setup(**given):
    settings.configure(
        DATABASES=DATABASES, INSTALLED_APPS=[], USE_TZ=True, LOGGING_CONFIG=None, **given
    )
    django.setup()

def current():
    with scope():
        return db().query_value("SELECT current_database()")

def in_tests(*cases):
    '''Run test cases as `manage.py test` does.'''
    import unittest
    from django.test.runner import DiscoverRunner
    runner = DiscoverRunner(verbosity=0, interactive=False)
    loader = unittest.defaultTestLoader
    suite = unittest.TestSuite(loader.loadTestsFromTestCase(case) for case in cases)
    old = runner.setup_databases()
    result = unittest.TextTestRunner().run(suite)
    runner.teardown_databases(old)
    assert result.wasSuccessful() and result.testsRun, result
"""


@pytest.fixture
def project(run_python: RunPython, database: str) -> Iterator[Project]:
    """Run code in a project whose DATABASES["default"] is the module's database."""
    import json

    given = parse(database)
    entry: dict[str, Any] = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": given["dbname"],
        "USER": given["user"],
        "HOST": given.get("host", ""),
        "PORT": given.get("port", ""),
    }
    if "password" in given:
        entry["PASSWORD"] = given["password"]

    def run(code: str) -> str:
        return run_python(SETUP + textwrap.dedent(code), json.dumps(entry)).stdout

    Database.configure(database)
    with scope():
        db().execute("DROP TABLE IF EXISTS notes")
        db().execute("CREATE TABLE notes (n int)")
    yield run
    with scope():
        assert db().query("SELECT * FROM notes") == []
        left = db().query_values(
            "SELECT datname FROM pg_database WHERE datname LIKE 'test_hypern%'"
        )
    Database.close()
    assert left == []


def test_an_alias_is_found_in_databases(project: Project) -> None:
    project(
        """
        setup()
        assert not Database.is_configured()
        assert current() == DATABASES["default"]["NAME"]
        assert Database.status().max_size == 16
        try:
            db("r", alias="other")
        except ConfigurationError as error:
            assert 'no database is configured under the alias "other"' in str(error)
        else:
            raise AssertionError
        """
    )


def test_an_entry_of_the_setting_takes_the_keywords_of_configure(project: Project) -> None:
    project(
        """
        mine = {**DATABASES["default"], "max_size": 3, "application_name": "site"}
        setup(HYPERN={"default": mine, "again": DATABASES["default"], "atomic": False})
        assert current() == DATABASES["default"]["NAME"]
        assert Database.status().max_size == 3
        with scope():
            assert db().query_value("SHOW application_name") == "site"
            assert db(alias="again").query_value("SELECT 1") == 1
        """
    )


def test_options_of_django_and_of_libpq(project: Project) -> None:
    project(
        """
        DATABASES["default"]["OPTIONS"] = {
            "application_name": "it's \\\\ quoted",
            "options": "-c work_mem=5MB",
            "isolation_level": 3,
            "assume_role": "pg_monitor",
            "pool": {"min_size": 0, "max_size": 5, "timeout": 7},
            "server_side_binding": True,
        }
        setup()
        with scope():
            show = lambda name: db().query_value(f"SHOW {name}")
            assert show("application_name") == "it's \\\\ quoted"
            assert show("work_mem") == "5MB"
            assert show("default_transaction_isolation") == "repeatable read"
            assert show("role") == "pg_monitor"
        with scope():  # behind the reset between two requests
            assert show("role") == "pg_monitor"
        assert Database.status().max_size == 5
        """
    )


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ('{"ENGINE": "django.db.backends.sqlite3"}', "is not a PostgreSQL database"),
        ('"postgresql://"', "must be a dict"),
        ('{**DATABASES["default"], "max_sise": 3}', "has an unknown option"),
        ('{**DATABASES["default"], "max_size": -3}', "max_size must be from 1"),
    ],
)
def test_an_entry_that_cannot_work_is_refused(project: Project, entry: str, text: str) -> None:
    project(
        f"""
        setup(HYPERN={{"default": {entry}}})
        try:
            db("r")
        except ConfigurationError as error:
            assert "{text}" in str(error), error
        else:
            raise AssertionError
        """
    )


@pytest.mark.parametrize("hypern", ["{}", '{"default": DATABASES["default"]}', "COPY"])
def test_under_testcase_db_is_on_the_test_database(project: Project, hypern: str) -> None:
    """Though the project has used the real one before; and the pool lets go of it at the end."""
    project(
        f"""
        COPY = {{"default": {{**DATABASES["default"], "max_size": 2}}}}
        setup(HYPERN={hypern})
        name = DATABASES["default"]["NAME"]
        register_type("money", lambda text: "money!", None)
        assert current() == name
        assert Database.status().size == 1

        from django.db import connection
        from django.test import TestCase, TransactionTestCase

        class Works:
            def test_it(self):
                assert current() == "test_" + name, current()
                with connection.cursor() as cursor:
                    cursor.execute("SELECT current_database()")
                    assert cursor.fetchone() == ("test_" + name,)
                with scope():
                    db().execute("CREATE TABLE IF NOT EXISTS notes (n int)")
                    db().execute("INSERT INTO notes VALUES (1)")
                    assert db().query_value("SELECT 1::money") == "money!"

        class One(Works, TestCase): ...
        class Two(Works, TransactionTestCase): ...

        for _ in range(2):
            in_tests(One, Two)
            assert current() == name
        """
    )


def test_a_project_whose_database_is_none_of_ours_is_left_alone(run_python: RunPython) -> None:
    run_python(
        """
        import django
        from django.conf import settings
        from hypern.database import db
        from hypern.errors import ConfigurationError

        def refused():
            try:
                db("r")
            except ConfigurationError as error:
                return "no database is configured" in str(error)

        assert refused()  # django.db is not imported
        import django.db
        assert refused()  # there are no settings
        settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3"}})
        django.setup()
        assert refused()
        """
    )

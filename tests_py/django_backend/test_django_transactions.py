"""The ORM and `db()` on one connection, in one transaction."""

from __future__ import annotations

from django_backend.conftest import Project


def test_the_orm_and_db_see_each_others_rows(project: Project) -> None:
    project("""
    with transaction.atomic():
        Group.objects.create(name="orm")
        assert db().query_values("SELECT name FROM auth_group") == ["orm"]
        db().execute("INSERT INTO auth_group (name) VALUES ('sql')")
        assert names() == ["orm", "sql"]
        transaction.set_rollback(True)
    assert names() == []
    """)


def test_db_is_in_an_atomic_block_before_the_orm_has_run_anything(project: Project) -> None:
    project("""
    session = db()
    with transaction.atomic():
        session.execute("INSERT INTO auth_group (name) VALUES ('sql')")
        assert session.is_in_transaction
        transaction.set_rollback(True)
    assert names() == []
    """)


def test_without_autocommit_a_transaction_follows_the_last(project: Project) -> None:
    project("""
    session = db()
    transaction.set_autocommit(False)
    session.execute("INSERT INTO auth_group (name) VALUES ('a')")
    transaction.commit()
    session.execute("INSERT INTO auth_group (name) VALUES ('b')")
    Group.objects.create(name="c")
    transaction.rollback()
    transaction.set_autocommit(True)
    assert names() == ["a"]
    """)


def test_savepoints_nest_in_either_order(project: Project) -> None:
    project("""
    with transaction.atomic():
        Group.objects.create(name="1")
        try:
            with db().transaction() as session:
                session.execute("INSERT INTO auth_group (name) VALUES ('2')")
                with transaction.atomic():
                    Group.objects.create(name="3")
                raise ValueError
        except ValueError:
            pass
        with db().transaction():
            Group.objects.create(name="4")
    with db().transaction() as session:
        try:
            with transaction.atomic():
                session.execute("INSERT INTO auth_group (name) VALUES ('5')")
                raise ValueError
        except ValueError:
            pass
        Group.objects.create(name="6")
    assert names() == ["1", "4", "6"]
    """)


def test_a_block_of_db_takes_options_where_no_transaction_is_open(project: Project) -> None:
    project("""
    show = "SHOW transaction_isolation"
    with db().transaction(isolation="serializable") as session:
        assert session.query_value(show) == "serializable"
    with transaction.atomic():
        assert db().query_value(show) == "read committed"
        def nested():
            with db().transaction(read_only=True):
                pass
        assert "savepoint" in raised(InterfaceError, nested)
    """)


def test_inside_atomic_begin_and_commit_raise_as_djangos_do(project: Project) -> None:
    project("""
    with transaction.atomic():
        for call in (db().begin, db().commit, db().rollback):
            text = raised(transaction.TransactionManagementError, call)
            assert "atomic" in text, text
    """)


def test_atomic_is_a_savepoint_after_begin(project: Project) -> None:
    project("""
    for begin in (lambda: db().begin(), lambda: db().execute("BEGIN")):
        begin()
        Group.objects.create(name="a")
        try:
            with transaction.atomic():
                Group.objects.create(name="b")
                raise ValueError
        except ValueError:
            pass
        with transaction.atomic():
            Group.objects.create(name="c")
        assert names() == ["a", "c"], (names(), db().state)
        db().rollback()
        assert names() == [] and connection.get_autocommit()
    """)


def test_a_scope_ends_what_db_has_begun(project: Project) -> None:
    project("""
    with scope():
        db().begin()
        Group.objects.create(name="kept")
    try:
        with scope():
            db().begin()
            Group.objects.create(name="dropped")
            raise ValueError
    except ValueError:
        pass
    with scope():
        db().begin().set_error()
        Group.objects.create(name="marked")
    assert names() == ["kept"] and connection.get_autocommit()
    from hypern.session.finalizing import abandon
    with scope() as dropped:
        db().begin()
        Group.objects.create(name="abandoned")
        abandon(dropped.request_id)
        assert names() == ["kept"] and not db().is_in_transaction
    with transaction.atomic():
        with scope():
            db().execute("INSERT INTO auth_group (name) VALUES ('inside')")
        assert db().is_in_transaction  # it is Django's
        transaction.set_rollback(True)
    assert names() == ["kept"]
    """)


def test_a_scope_whose_options_change_statements_has_a_session_of_its_own(project: Project) -> None:
    project("""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            (pid,) = cursor.fetchone()
        find = "SELECT pg_backend_pid()"
        for options in ({}, {"label": "import"}):
            with scope(**options):
                assert db().query_value(find) == pid, options
                assert db(read_only=False).query_value(find) == pid, options
                assert db(read_only=True).query_value(find) != pid
        for options in (
            {"atomic": True}, {"atomic": False}, {"settings": {"app.tenant": "7"}},
            {"read_only": True}, {"deadline_secs": 5.0},
        ):
            with scope(**options):
                assert db().query_value(find) != pid, options
        with scope(settings={"app.tenant": "7"}):
            assert db().query_value("SELECT current_setting('app.tenant')") == "7"
    """)


def test_on_commit_covers_both(project: Project) -> None:
    project("""
    seen = []
    with transaction.atomic():
        db().on_commit(lambda: seen.append("db"))
        transaction.on_commit(lambda: seen.append("orm"))
        assert seen == []
    assert seen == ["db", "orm"], seen
    db().begin()
    with transaction.atomic():
        transaction.on_commit(lambda: seen.append("orm in begin"))
    db().on_commit(lambda: seen.append("db in begin"))
    Group.objects.create(name="x")
    assert len(seen) == 2
    db().commit()
    assert seen[2:] == ["orm in begin", "db in begin"], seen
    with transaction.atomic():
        db().on_commit(lambda: seen.append("never"))
        transaction.set_rollback(True)
    assert len(seen) == 4
    """)


def test_a_testcase_rolls_back_what_db_has_done(project: Project) -> None:
    project("""
    import unittest
    from django.test import TestCase

    class Case(TestCase):
        def test(self):
            db().execute("INSERT INTO auth_group (name) VALUES ('sql')")
            with db().transaction():
                Group.objects.create(name="orm")
            self.assertEqual(names(), ["orm", "sql"])
            with self.captureOnCommitCallbacks(execute=True) as found:
                db().on_commit(lambda: None)
            self.assertEqual(len(found), 1)

    result = unittest.TextTestRunner().run(unittest.TestSuite([Case("test")]))
    assert result.wasSuccessful()
    assert names() == []
    """)


def test_a_lost_connection_is_replaced(project: Project) -> None:
    project("""
    from django.db import OperationalError, close_old_connections
    pid = db().query_value("SELECT pg_backend_pid()")
    from hypern import dbapi
    with dbapi.connect(alias="default", autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    def query():
        with connection.cursor() as cursor:
            cursor.execute("SELECT now()")
    raised(OperationalError, query)
    close_old_connections()
    query()
    assert db().query_value("SELECT pg_backend_pid()") != pid
    """)


def test_a_swallowed_error_is_logged_and_not_committed(project: Project) -> None:
    project("""
    import logging
    logged = []
    handler = logging.Handler()
    handler.emit = logged.append
    logging.getLogger("hypern").addHandler(handler)
    with transaction.atomic():
        Group.objects.create(name="a")
        try:
            db().execute("SELECT 1/0")
        except Error:
            pass
    assert names() == [] and connection.get_autocommit()
    assert [record.levelname for record in logged] == ["ERROR"], logged
    """)

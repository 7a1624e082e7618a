"""What Django's own tests do not cover of the backend."""

from __future__ import annotations

from django_backend.conftest import Project


def test_psycopg_is_not_needed(project: Project) -> None:
    project("""
    from django.contrib.postgres.fields import IntegerRangeField
    is_hidden = type(sys.meta_path[0]).__name__ == "Hidden"
    loaded = [name for name in sys.modules if name.partition(".")[0] in ("psycopg", "psycopg2")]
    assert bool(loaded) != is_hidden, loaded
    """)


def test_values_of_every_kind_of_field(project: Project) -> None:
    project("""
    import datetime as dt, decimal, uuid
    from django.contrib.postgres import fields
    from django.contrib.postgres.operations import HStoreExtension
    from django.db.backends.postgresql.psycopg_any import DateTimeTZRange, NumericRange

    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'hstore'")
        has_hstore = cursor.fetchone() is not None
        if has_hstore:
            cursor.execute("CREATE EXTENSION IF NOT EXISTS hstore")

    class Everything(models.Model):
        flag = models.BooleanField()
        small = models.SmallIntegerField()
        big = models.BigIntegerField()
        real = models.FloatField()
        exact = models.DecimalField(max_digits=20, decimal_places=5)
        text = models.TextField(null=True)
        data = models.JSONField()
        raw = models.BinaryField()
        day = models.DateField()
        at = models.DateTimeField()
        clock = models.TimeField()
        lasts = models.DurationField()
        key = models.UUIDField()
        ip = models.GenericIPAddressField()
        many = fields.ArrayField(models.IntegerField(null=True))
        words = fields.ArrayField(fields.ArrayField(models.TextField()))
        range = fields.IntegerRangeField()
        during = fields.DateTimeRangeField()
        if has_hstore:
            pairs = fields.HStoreField()

        class Meta:
            app_label = "auth"

    tables(Everything)
    now = dt.datetime(2030, 1, 2, 3, 4, 5, 6, dt.timezone.utc)
    values = dict(
        flag=True, small=-5, big=2**40, real=1e-300, exact=decimal.Decimal("-1.50000"), text=None,
        data={"a": [1, None, "\\u00e9", 1.0]}, raw=b"\\x00\\xff", day=now.date(), at=now,
        clock=now.time(), lasts=dt.timedelta(days=-1, microseconds=1), key=uuid.uuid4(),
        ip="::ffff:1.2.3.4", many=[1, None, 3], words=[["a", "b"], ["c", 'd"']],
        range=NumericRange(1, 5), during=DateTimeTZRange(now, None, "[)"),
    )
    if has_hstore:
        values["pairs"] = {"a": "1", "b": None}
    made = Everything.objects.create(**values)
    found = Everything.objects.get(pk=made.pk)
    for name, value in values.items():
        got = getattr(found, name)
        if name == "raw":
            got = bytes(got)
        assert got == value and (name == "raw" or type(got) is type(value)), (name, got, value)
        if name not in ("raw",):
            assert Everything.objects.filter(**{name: value} if value is not None
                                             else {name + "__isnull": True}).exists(), name
    # The session reads json and addresses as it does elsewhere.
    row = db().query_one("SELECT data, ip, range FROM auth_everything")
    assert row["data"] == values["data"] and str(row["ip"].ipv4_mapped) == "1.2.3.4", row
    Everything.objects.bulk_create([Everything(**values) for _ in range(50)])
    assert len(list(Everything.objects.iterator(chunk_size=7))) == 51
    call_command("inspectdb", "auth_everything")
    with connection.schema_editor() as editor:
        editor.delete_model(Everything)
    """)


def test_arrays_of_every_kind_are_looked_up(project: Project) -> None:
    project("""
    import datetime as dt, decimal, uuid
    from django.contrib.postgres.fields import ArrayField

    made = dt.datetime(2030, 1, 2, 3, 4, 5, 6, dt.timezone.utc)
    kinds = {
        "small": (models.SmallIntegerField(), 1, 2), "whole": (models.IntegerField(), 1, 2),
        "big": (models.BigIntegerField(), 1, 2), "huge": (models.BigIntegerField(), 1, 2**40),
        "positive": (models.PositiveBigIntegerField(), 1, 2),
        "real": (models.FloatField(), 0.5, 1e300), "integral": (models.FloatField(), 1.0, 2.0),
        "exact": (models.DecimalField(max_digits=9, decimal_places=2), decimal.Decimal("1.50"),
                  decimal.Decimal(2)),
        "word": (models.CharField(max_length=9), "a'\\"", "b"),
        "text": (models.TextField(), "a", "b"),
        "day": (models.DateField(), made.date(), dt.date(2031, 1, 1)),
        "at": (models.DateTimeField(), made, made + dt.timedelta(1)),
        "clock": (models.TimeField(), dt.time(1), dt.time(2)),
        "lasts": (models.DurationField(), dt.timedelta(-1, 5), dt.timedelta(1)),
        "key": (models.UUIDField(), uuid.UUID(int=1), uuid.UUID(int=2)),
        "ip": (models.GenericIPAddressField(), "1.2.3.4", "1.2.3.5"),
        "flag": (models.BooleanField(), False, True),
    }
    for name, (field, low, high) in kinds.items():
        body = {
            "values": ArrayField(field), "nested": ArrayField(ArrayField(field.clone())),
            "Meta": type("Meta", (), {"app_label": "auth"}), "__module__": "__main__",
        }
        Model = type(f"Of{name}", (models.Model,), body)
        tables(Model)
        row = Model.objects.create(values=[low, high], nested=[[low, high], [high, low]])
        found = Model.objects.get()
        assert (found.values, found.nested) == (row.values, row.nested), name
        for lookup, value, matches in (
            ("exact", [low, high], True), ("exact", [high], False), ("gt", [low], True),
            ("lt", [low], False), ("gte", [low, high], True), ("in", [[low, high], [low]], True),
            ("in", [[high]], False), ("contains", [high], True), ("contains", [], True),
            ("contained_by", [low, high], True), ("overlap", [high], True), ("len", 2, True),
            ("0", low, True), ("1__gt", low, True), ("0_1", [low], True), ("1__in", [high], True),
        ):
            found = Model.objects.filter(**{f"values__{lookup}": value}).exists()
            assert found is matches, (name, lookup, value)
        for lookup, value in (("exact", row.nested), ("in", [row.nested]), ("gte", row.nested),
                              ("contains", [[low, high]]), ("1__0", high)):
            assert Model.objects.filter(**{f"nested__{lookup}": value}).exists(), (name, lookup)
        with connection.schema_editor() as editor:
            editor.delete_model(Model)
    """)


def test_values_in_expressions_are_what_literals_are(project: Project) -> None:
    project("""
    Group.objects.create(name="10")
    with connection.cursor() as cursor:
        for value, expected in (
            (1, "integer"), (2**40, "bigint"), (2**70, "numeric"), (1.5, "numeric"),
            (True, "boolean"),
        ):
            cursor.execute("SELECT pg_typeof(%s)::text", [value])
            assert cursor.fetchone() == (expected,), value
        cursor.execute("SELECT %s IS NULL, %s < %s", [None, 10, 9])
        assert cursor.fetchone() == (True, False)
        cursor.execute(
            "SELECT count(*), coalesce(name, %s) FROM auth_group GROUP BY coalesce(name, %s)",
            ["x", "x"],
        )
        assert cursor.fetchall() == [(1, "10")]
        cursor.execute("SELECT '100%'")
        assert cursor.fetchone() == ("100%",)
        cursor.execute("SELECT '100%%', %s", [1])
        assert cursor.fetchone() == ("100%", 1)
        cursor.execute("SELECT %(a)s, %(a)s::text", {"a": 5})
        assert cursor.fetchone() == (5, "5")
        cursor.executemany("INSERT INTO auth_group (name) VALUES (%s)", [["a"], ["b"], ["c"]])
        assert cursor.rowcount == 3
    """)


def test_bad_input_is_refused(project: Project) -> None:
    project("""
    from django.core.exceptions import ImproperlyConfigured
    from django.db import connections, DataError, ProgrammingError
    from django.db import InterfaceError as DjangoInterfaceError
    from django.test import override_settings
    from hypern.errors import OperationalError

    cursor = connection.cursor()
    for sql, params in (
        ("SELECT '100%', %s", [1]), ("SELECT %s, %s", [1]), ("SELECT %s", [1, 2]),
        ("SELECT %(a)s", {"b": 1}), ("SELECT %(a)s", [1]), ("SELECT %s, %(a)s", [1]),
    ):
        text = raised(ProgrammingError, cursor.execute, sql, params)
        assert text, sql
    assert "NUL" in raised(DataError, cursor.execute, "SELECT %s::text", ["a\\0b"])
    assert "range" in raised(DataError, cursor.execute, "SELECT %s::int2", [2**20]).lower()
    cursor.close()
    assert "closed" in raised(DjangoInterfaceError, cursor.execute, "SELECT 1")

    def connect(**options):
        made = type(connections["default"])({**connection.settings_dict, "OPTIONS": options})
        try:
            made.ensure_connection()
        finally:
            made.close()

    assert '"nonsense"' in raised(DjangoInterfaceError, connect, nonsense=1)
    made = type(connections["default"])(connection.settings_dict)
    with override_settings(HYPERN={"default": {**connection.settings_dict, "atomic": True}}):
        assert "ATOMIC_REQUESTS" in raised(DjangoInterfaceError, made.ensure_connection)
    assert "isolation level" in raised(ImproperlyConfigured, connect, isolation_level=7)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    connections.settings["gone"] = {**connection.settings_dict, "HOST": "/nowhere"}
    text = raised(OperationalError, db, "r1", "gone")
    assert "/nowhere" in text, text
    held = db()
    connection.close()
    from hypern.errors import SessionClosed
    raised(SessionClosed, held.query, "SELECT 1")
    """)


def test_a_time_zone_of_its_own(project: Project) -> None:
    project(
        """
    import datetime as dt
    with connection.cursor() as cursor:
        cursor.execute("SELECT timestamptz '2030-07-01 00:00+00', current_setting('TimeZone')")
        moment, zone = cursor.fetchone()
    assert zone == "Asia/Tokyo" and moment.utcoffset() == dt.timedelta(hours=9), (moment, zone)
    """,
        TIME_ZONE="Asia/Tokyo",
    )


def test_an_isolation_level_has_the_numbers_of_djangos_driver(project: Project) -> None:
    project(
        """
    from django.db.backends.postgresql.psycopg_any import IsolationLevel
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_isolation")
        assert cursor.fetchone() == ("serializable",)
    assert connection.isolation_level == IsolationLevel.SERIALIZABLE
    """,
        OPTIONS={"isolation_level": 4},
    )


def test_a_real_is_what_postgresql_writes(project: Project) -> None:
    project("""
    texts = ["0.44444445", "1e-45", "3.4028235e+38", "16777216", "0.1", "-0", "1.17549435e-38"]
    with connection.cursor() as cursor:
        for text in texts:
            cursor.execute("SELECT r, r::text, ARRAY[r, NULL] FROM (SELECT %s::real r) x", [text])
            value, written, array = cursor.fetchone()
            assert value == float(written) and array == [value, None], (value, written)
        cursor.execute("SELECT 'NaN'::real, '-Infinity'::real")
        assert str(cursor.fetchone()) == "(nan, -inf)"
    """)


def test_a_forked_child_connects_anew(project: Project) -> None:
    project("""
    Group.objects.create(name="parent")
    with transaction.atomic():
        Group.objects.create(name="open")
        child = os.fork()
        if child == 0:
            status = 1
            try:
                with transaction.atomic():
                    assert names() == ["parent"]
                    db().execute("INSERT INTO auth_group (name) VALUES ('child')")
                connection.close()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
    assert names() == ["child", "open", "parent"]
    """)


def test_threads_have_connections_of_their_own(project: Project) -> None:
    project("""
    import threading
    pids = []
    def work():
        try:
            pid = db().query_value("SELECT pg_backend_pid()")
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                assert cursor.fetchone() == (pid,)
            pids.append(pid)
        finally:
            connection.close()
    with transaction.atomic():
        own = db().query_value("SELECT pg_backend_pid()")
        for _ in range(2):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
    assert len(pids) == 2 and own not in pids
    """)

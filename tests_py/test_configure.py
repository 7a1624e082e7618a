"""Database.configure checks everything at once, and touches neither server nor core."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest

from hypern import _hypern
from hypern.config.settings import PoolConfig, make_settings
from hypern.database import Database, PoolStatus, db
from hypern.errors import ConfigurationError, InterfaceError
from hypern.pool import registry

URL = "postgresql://alice:s3cret@db.example.com/app"


@pytest.fixture(autouse=True)
def forget_settings() -> Iterator[None]:
    yield
    Database.close()


def core_settings(**given: Any) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads(
        make_settings("default", PoolConfig(URL, **given)).to_core()
    )
    return settings


def test_the_signature_is_the_specifications() -> None:
    parameters = inspect.signature(Database.configure).parameters
    positional = {
        name: parameter.default
        for name, parameter in parameters.items()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    }
    assert positional == {
        "url": inspect.Parameter.empty,
        "max_size": 16,
        "min_idle": None,
        "connect_timeout_secs": 30,
        "idle_timeout_secs": None,
        "max_lifetime_secs": None,
        "test_before_acquire": False,
        "keepalive_secs": None,
        "alias": "default",
    }
    assert {n for n, p in parameters.items() if p.kind is p.KEYWORD_ONLY} == {
        "acquire_timeout_secs",
        "statement_timeout_secs",
        "commit_timeout_secs",
        "application_name",
        "statement_cache",
        "reset",
        "password",
        "infinity",
        "json_loads",
        "json_dumps",
        "slow_query_secs",
        "statement_max_age_secs",
        "atomic",
        "settings",
        "replica",
        "replica_wait_secs",
        "sql_comments",
        "pooler",
        "listen_url",
    }


def test_defaults_reach_the_core() -> None:
    settings = core_settings()
    conninfo = settings.pop("conninfo")
    assert conninfo["host"] == "db.example.com"
    assert conninfo["password"] == "s3cret"
    assert settings == {
        "alias": "default",
        "pooler": "auto",
        "listen": None,
        "callable_password": False,
        "max_size": 16,
        "min_idle": 0,
        "connect_timeout_ms": 30_000,
        "acquire_timeout_ms": 30_000,
        "idle_timeout_ms": 0,
        "max_lifetime_ms": 0,
        "test_before_acquire": False,
        "keepalive_secs": 0,
        "statement_timeout_ms": 0,
        "commit_timeout_ms": 60_000,
        "statement_cache": "auto",
        "statement_max_age_ms": 60000,
        "reset": "full",
        "atomic": False,
        "requires_settings": False,
        "nested": 0,
        "sql_comments": False,
        "replica": None,
        "replica_wait_ms": 100,
    }


def test_every_setting_reaches_the_core() -> None:
    settings = core_settings(
        max_size=4,
        min_idle=2,
        connect_timeout_secs=1.5,
        idle_timeout_secs=600,
        max_lifetime_secs=1800,
        test_before_acquire=True,
        keepalive_secs=60,
        acquire_timeout_secs=0.2,
        statement_timeout_secs=0.0005 * 3,
        commit_timeout_secs=None,
        application_name="shop",
        statement_cache="describe",
        reset="off",
        password=lambda: "later",
    )
    assert settings["conninfo"]["application_name"] == "shop"
    assert "password" not in settings["conninfo"]
    assert settings["callable_password"] is True
    assert settings["connect_timeout_ms"] == 1500
    assert settings["acquire_timeout_ms"] == 200
    assert settings["statement_timeout_ms"] == 2  # rounded up: 0 would mean no limit
    assert settings["commit_timeout_ms"] == 0
    assert settings["idle_timeout_ms"] == 600_000
    assert settings["max_lifetime_ms"] == 1_800_000
    assert (settings["max_size"], settings["min_idle"]) == (4, 2)
    assert settings["keepalive_secs"] == 60
    assert settings["test_before_acquire"] is True
    assert (settings["statement_cache"], settings["reset"]) == ("describe", "off")


def test_a_password_given_as_keyword_precedes_the_urls() -> None:
    assert core_settings(password="other")["conninfo"]["password"] == "other"


def test_connect_timeout_of_the_url_counts_where_the_argument_is_the_default() -> None:
    def milliseconds(url: str, **given: Any) -> int | None:
        return make_settings("a", PoolConfig(url, **given)).connect_timeout_ms

    assert milliseconds("postgresql://u@h?connect_timeout=3") == 3000
    assert milliseconds("postgresql://u@h?connect_timeout=0") is None
    assert milliseconds("postgresql://u@h?connect_timeout=3", connect_timeout_secs=7) == 7000


def test_keepalives_idle_of_the_url_counts_where_no_argument_is_given() -> None:
    url = "postgresql://u@h?keepalives_idle=17"
    assert make_settings("a", PoolConfig(url)).keepalive_secs == 17
    assert make_settings("a", PoolConfig(url, keepalive_secs=5)).keepalive_secs == 5


@pytest.mark.parametrize(
    "given",
    [
        {"url": None},
        {"url": ""},
        {"url": 5432},
        {"url": "not a url"},
        {"max_size": 0},
        {"max_size": -1},
        {"max_size": None},
        {"max_size": "16"},
        {"max_size": 1.5},
        {"max_size": True},
        {"max_size": 10**9},
        {"min_idle": -1},
        {"min_idle": 17},
        {"connect_timeout_secs": 0},
        {"connect_timeout_secs": -1},
        {"connect_timeout_secs": math.nan},
        {"connect_timeout_secs": "30"},
        {"idle_timeout_secs": 0},
        {"max_lifetime_secs": -5},
        {"max_lifetime_secs": math.inf},
        {"test_before_acquire": "yes"},
        {"keepalive_secs": 0},
        {"keepalive_secs": 10**6},
        {"acquire_timeout_secs": 0},
        {"statement_timeout_secs": 0},
        {"statement_cache": "on"},
        {"statement_cache": None},
        {"reset": "partial"},
        {"infinity": "max"},
        {"password": b"bytes"},
        {"password": "a\0b"},
        {"application_name": 1},
        {"application_name": "a\0b"},
        {"json_loads": "json"},
        {"json_dumps": 1},
        {"slow_query_secs": -1},
        {"alias": ""},
        {"alias": None},
        {"alias": 3},
    ],
    ids=lambda given: "-".join(f"{k}={v!r}" for k, v in given.items()),
)
def test_bad_settings_are_refused_at_once_and_leave_nothing(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Database.configure(**{"url": URL, **given})
    assert "s3cret" not in str(caught.value)
    assert not Database.is_configured()


def test_min_idle_above_max_size_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"min_idle \(5\) is above max_size \(4\)"):
        Database.configure(URL, max_size=4, min_idle=5)


def test_the_same_settings_again_change_nothing() -> None:
    Database.configure(URL, max_size=3)
    pool = registry._configured["default"].pool
    Database.configure(url=URL, max_size=3, connect_timeout_secs=30.0)
    assert registry._configured["default"].pool is pool


def test_other_settings_for_the_same_alias_are_refused() -> None:
    Database.configure(URL)
    with pytest.raises(ConfigurationError, match=r'Database.close\("default"\)') as caught:
        Database.configure(URL, max_size=17)
    assert "s3cret" not in str(caught.value)
    with pytest.raises(ConfigurationError):
        Database.configure("postgresql://elsewhere/app")
    Database.close("default")
    Database.configure(URL, max_size=17)
    assert Database.status().max_size == 17


def test_a_callable_password_is_compared_and_not_called() -> None:
    def password() -> str:
        raise AssertionError("nothing is connected to yet")

    Database.configure(URL, password=password)
    Database.configure(URL, password=password)
    with pytest.raises(ConfigurationError):
        Database.configure(URL, password=lambda: "x")


def test_status_before_first_use_is_zeros_and_max_size() -> None:
    Database.configure(URL, max_size=7, alias="analytics")
    assert Database.status("analytics") == PoolStatus(size=0, available=0, max_size=7)


def test_an_unknown_alias_names_the_known_ones() -> None:
    Database.configure(URL, alias="main")
    for call in (
        lambda: Database.status("other"),
        lambda: db("r1", alias="other"),
    ):
        with pytest.raises(ConfigurationError, match=r'"other".*"main"') as caught:
            call()
        assert isinstance(caught.value, InterfaceError)


def test_close_forgets_one_or_all_and_takes_an_unknown_alias() -> None:
    Database.close("never configured")
    Database.configure(URL)
    Database.configure(URL, alias="b")
    Database.close("default")
    assert not Database.is_configured()
    assert Database.is_configured("b")
    Database.close()
    assert not Database.is_configured("b")
    Database.close()


def test_no_repr_shows_a_password() -> None:
    config = PoolConfig(URL, password="s3cret")
    assert "s3cret" not in repr(config)
    assert "s3cret" not in repr(make_settings("default", config))


def test_the_low_level_names_work_on_the_sameregistry() -> None:
    pool = _hypern.ConnectionPool
    assert pool.status() is None
    pool.initialize(_hypern.PoolConfig(url=URL, max_size=2))
    assert pool.is_initialized()
    status = pool.status()
    assert status is not None
    assert status.max_size == 2
    assert Database.is_configured()
    pool.initialize_with_alias(_hypern.PoolConfig(URL, 3), "b")
    other = pool.status_for_alias("b")
    assert other is not None
    assert other.max_size == 3
    pool.close_alias("b")
    assert pool.status_for_alias("b") is None
    pool.close_all()
    assert not pool.is_initialized()
    assert _hypern.get_db is db


@pytest.mark.parametrize("name", ["alias", "url", "application_name", "password"])
def test_what_cannot_be_sent_is_refused_at_once(name: str) -> None:
    given = {"url": URL, name: URL + "\udcff" if name == "url" else "a\ud800"}
    with pytest.raises(ConfigurationError, match=f"^{name} .* lone surrogate") as caught:
        Database.configure(**given)  # type: ignore[arg-type]
    assert "s3cret" not in str(caught.value)


def test_one_pool_that_cannot_be_disconnected_does_not_keep_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disconnected = []

    class Pool:
        def __init__(self, name: str) -> None:
            self.name = name

        def disconnect(self, seconds: float) -> None:
            disconnected.append(self.name)
            if self.name == "a":
                raise ValueError(self.name)

    configured = {n: registry._Configured(None, Pool(n)) for n in "abc"}  # type: ignore[arg-type]
    monkeypatch.setattr(registry, "_configured", configured)
    with pytest.raises(ValueError, match="a"):
        registry.disconnect(1)
    assert disconnected == ["a", "b", "c"]
    configured.clear()

"""hypern.auth: tokens of the clouds as passwords, by stand-ins for their libraries."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from hypern import auth
from hypern.config.settings import PoolConfig, make_settings
from hypern.errors import ConfigurationError

pytestmark = pytest.mark.usefixtures("home")


def _module(monkeypatch: pytest.MonkeyPatch, name: str, **members: Any) -> None:
    module = ModuleType(name)
    vars(module).update(members)
    for end in range(name.count(".")):
        parent = ".".join(name.split(".")[: end + 1])
        if parent not in sys.modules:
            monkeypatch.setitem(sys.modules, parent, ModuleType(parent))
    monkeypatch.setitem(sys.modules, name, module)


def test_rds_iam_asks_boto3(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def token(**given: object) -> str:
        asked.append(given)
        return f"token {len(asked)}"

    class Session:
        def client(self, service: str, region_name: str | None) -> Any:
            asked.append((service, region_name))
            return SimpleNamespace(generate_db_auth_token=token)

    _module(monkeypatch, "boto3", session=SimpleNamespace(Session=Session))
    password = auth.rds_iam("db.example", "app", port=5433, region="eu-central-1")
    assert [password(), password()] == ["token 2", "token 3"]
    given = {"DBHostname": "db.example", "Port": 5433, "DBUsername": "app"}
    assert asked == [("rds", "eu-central-1"), given, given]
    assert auth.rds_iam("db.example", "app", session=Session())() == "token 5"


def test_entra_asks_azure_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    class Credential:
        def get_token(self, scope: str) -> Any:
            return SimpleNamespace(token=f"token for {scope}")

    _module(monkeypatch, "azure.identity", DefaultAzureCredential=Credential)
    scope = "https://ossrdbms-aad.database.windows.net/.default"
    assert auth.entra()() == f"token for {scope}"
    assert auth.entra(credential=Credential(), scope="other")() == "token for other"


def test_gcp_iam_asks_google_auth(monkeypatch: pytest.MonkeyPatch) -> None:
    class Credentials:
        valid = False
        token = ""
        renewed = 0

        def refresh(self, request: object) -> None:
            self.valid = True
            self.renewed += 1
            self.token = f"token {self.renewed}"

    made = Credentials()
    scopes: list[Any] = []

    def default(scopes: list[str] = scopes) -> tuple[Credentials, str]:
        asked.append(scopes)
        return made, "project"

    asked: list[Any] = []
    _module(monkeypatch, "google.auth", default=default)
    _module(monkeypatch, "google.auth.transport.requests", Request=object)
    password = auth.gcp_iam()
    assert [password(), password()] == ["token 1", "token 1"]
    made.valid = False
    assert password() == "token 2"
    assert asked == [["https://www.googleapis.com/auth/sqlservice.login"]]


@pytest.mark.parametrize(
    ("password", "module"),
    [
        (auth.rds_iam("h", "u"), "boto3"),
        (auth.entra(), "azure.identity"),
        (auth.gcp_iam(), "google.auth"),
    ],
)
def test_a_library_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, password: Any, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError, match=rf"comes from {module}, .* pip install"):
        password()


PRESETS = [auth.rds_iam("h", "u"), auth.entra(), auth.gcp_iam()]


@pytest.mark.parametrize("password", PRESETS, ids=["rds_iam", "entra", "gcp_iam"])
def test_tls_is_required(password: Any) -> None:
    def sslmode(url: str) -> str:
        return make_settings("a", PoolConfig(url, password=password)).conninfo["sslmode"]

    assert sslmode("postgresql://u@h/d") == "require"
    assert sslmode("postgresql://u@h/d?sslmode=prefer") == "require"
    assert sslmode("postgresql://u@h/d?sslmode=verify-full") == "verify-full"
    for weak in ("disable", "allow"):
        with pytest.raises(ConfigurationError, match=f"requires TLS, and sslmode={weak}"):
            sslmode(f"postgresql://u@h/d?sslmode={weak}")
    with pytest.raises(ConfigurationError, match="which a unix socket does not have"):
        sslmode("postgresql://u@/d?host=/run/postgresql")


def test_the_same_preset_again_is_the_same_setting() -> None:
    def settings(region: str) -> object:
        password = auth.rds_iam("h", "u", region=region)
        return make_settings("a", PoolConfig("postgresql://u@h/d", password=password))

    assert settings("one") == settings("one") != settings("two")

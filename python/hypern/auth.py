"""Passwords that a cloud gives for a short time: values for `Database.configure(password=...)`.

    from hypern import auth
    Database.configure(url, password=auth.rds_iam("db.example.com", "app", region="eu-central-1"))

Each is a callable that hypern asks for every connection it makes. The cloud's own library makes the
token, and is imported when the first one is needed; install it beside hypern. A token is as good as
a password, so the connection must be encrypted: sslmode is raised to "require", and settings that
forbid TLS are refused.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hypern.errors import ConfigurationError

__all__ = ["entra", "gcp_iam", "rds_iam"]

_ENTRA_SCOPE = "https://ossrdbms-aad.database.windows.net/.default"
_GCP_SCOPE = "https://www.googleapis.com/auth/sqlservice.login"


def rds_iam(
    host: str, user: str, *, port: int = 5432, region: str | None = None, session: Any = None
) -> RdsIam:
    """Amazon RDS and Aurora: IAM database authentication, by boto3.

    host, user, port: as in the URL, since a token is for them alone; the host is the instance's own
    name, whatever a tunnel calls it. region: str, None is that of the environment or the profile.
    session: a boto3.Session, None is the default one.
    """
    return RdsIam(host, user, port, region, session)


def entra(*, credential: Any = None, scope: str = _ENTRA_SCOPE) -> Entra:
    """Azure Database for PostgreSQL: Microsoft Entra ID, by azure-identity.

    credential: an object with `get_token(scope)`; None is a DefaultAzureCredential. scope: str, of
    another cloud than the public one.
    """
    return Entra(credential, scope)


def gcp_iam(*, credentials: Any = None) -> GcpIam:
    """Google Cloud SQL: IAM database authentication, by google-auth.

    credentials: of google-auth, with the scope of Cloud SQL logins; None is the application's
    default ones.
    """
    return GcpIam(credentials)


@dataclass(frozen=True)
class RdsIam:
    """What `rds_iam` returns."""

    requires_tls: ClassVar[bool] = True

    host: str
    user: str
    port: int = 5432
    region: str | None = None
    session: Any = field(default=None, repr=False)
    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __call__(self) -> str:
        """A token, which Amazon accepts for 15 minutes."""
        if "client" not in self._kept:
            made = self.session or _library("boto3", "boto3").session.Session()
            self._kept["client"] = made.client("rds", region_name=self.region)
        token: str = self._kept["client"].generate_db_auth_token(
            DBHostname=self.host, Port=self.port, DBUsername=self.user
        )
        return token


@dataclass(frozen=True)
class Entra:
    """What `entra` returns."""

    requires_tls: ClassVar[bool] = True

    credential: Any = field(default=None, repr=False)
    scope: str = _ENTRA_SCOPE
    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __call__(self) -> str:
        """A token; the library keeps it until shortly before it expires."""
        credential = self.credential or self._kept.get("credential")
        if credential is None:
            library = _library("azure.identity", "azure-identity")
            credential = self._kept["credential"] = library.DefaultAzureCredential()
        token: str = credential.get_token(self.scope).token
        return token


@dataclass(frozen=True)
class GcpIam:
    """What `gcp_iam` returns."""

    requires_tls: ClassVar[bool] = True

    credentials: Any = field(default=None, repr=False)
    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __call__(self) -> str:
        """A token, renewed where it has expired."""
        credentials = self.credentials or self._kept.get("credentials")
        if credentials is None:
            credentials, _ = _library("google.auth", "google-auth").default(scopes=[_GCP_SCOPE])
            self._kept["credentials"] = credentials
        if not credentials.valid:
            transport = _library("google.auth.transport.requests", "google-auth[requests]")
            credentials.refresh(transport.Request())
        token: str = credentials.token
        return token


def _library(module: str, distribution: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigurationError(
            f"the password comes from {module}, which is not installed: "
            f'pip install "{distribution}"'
        ) from error

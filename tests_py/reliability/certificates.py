"""Certificates of the tests' own: a CA, and what it or somebody else has signed."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_NOW = datetime.datetime.now(datetime.timezone.utc)
_DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key; `pem` and `key_pem` are what goes into files."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def make(
    name: str,
    by: Certificate | None = None,
    *,
    is_ca: bool = False,
    expired: bool = False,
) -> Certificate:
    """A certificate for a host or user `name`, signed by `by`, or by itself where that is None."""
    key = ec.generate_private_key(ec.SECP256R1())
    began = _NOW - 10 * _DAY
    ends = _NOW - _DAY if expired else _NOW + 10 * _DAY
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(by.certificate.subject if by else _name(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(began)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    )
    return Certificate(builder.sign(by.key if by else key, hashes.SHA256()), key)


def revocations(by: Certificate, *revoked: Certificate, expired: bool = False) -> bytes:
    """A list of certificates that `by` has revoked, for a file."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(by.certificate.subject)
        .last_update(_NOW - 2 * _DAY)
        .next_update(_NOW - _DAY if expired else _NOW + _DAY)
    )
    for one in revoked:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder()
            .serial_number(one.certificate.serial_number)
            .revocation_date(_NOW - 2 * _DAY)
            .build()
        )
    return builder.sign(by.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

"""Certificates that are made when a test needs them and trusted by nobody else."""

from __future__ import annotations

import dataclasses
import datetime as dt
import ipaddress
from typing import Any


@dataclasses.dataclass(frozen=True)
class Certificates:
    """A CA, and a server's certificate and key that it signed; all in PEM."""

    ca: str
    certificate: str
    key: str


def make_certificates(*names: str) -> Certificates:
    """A server certificate for these host names and IP addresses, by a CA of its own."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    ca_key, key = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
    ca = _certificate("Outfeed test CA", ca_key.public_key(), "Outfeed test CA", ca_key, None)
    alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
    certificate = _certificate(names[0], key.public_key(), "Outfeed test CA", ca_key, alternatives)
    pem = serialization.Encoding.PEM
    return Certificates(
        ca=ca.public_bytes(pem).decode(),
        certificate=certificate.public_bytes(pem).decode(),
        key=key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode(),
    )


def _general_name(name: str) -> Any:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _certificate(subject: str, public_key: Any, issuer: str, signer: Any, names: Any) -> Any:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=names is None, path_length=None), critical=True)
    )
    if names is not None:
        builder = builder.add_extension(names, critical=False)
    return builder.sign(signer, hashes.SHA256())

"""Certificates of the secured local stack: one authority, the servers' node, one for each process and for each reader.

The name (CN) of a certificate is who Kafka takes its holder for. Keys are unencrypted PKCS#8 files of 0600 in the folder
of whoever they are for. Must never replace a certificate that still holds, and is not for production, where the
organisation's own authority signs.
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from runtime.files import write_atomic
from runtime.tls import TlsFiles

NODE: Final = "kafka-node"
ADMIN: Final = "admin"
"""Who sets the cluster up: topics, and the permissions of the processes."""
CLIENTS: Final = ("ingest", "router", "store", "erasure", "custodian", "operator", "reader", "desk")
_AUTHORITY_DAYS: Final = 3_650
_DAYS: Final = 90
_RENEW_BEFORE: Final = timedelta(days=7)
_BACKDATED: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Authority:
    """The certificates of one root, under `folder`: `ca.pem` for all, `ca.key` for this module alone."""

    folder: Path
    name: str = "mkchannels-local-authority"
    """Of two authorities that are believed at once each needs its own: Kafka tells them apart by it."""

    @property
    def ca(self) -> Path:
        """Whom everybody believes."""
        return self.folder / "ca.pem"

    def files(self, name: str) -> TlsFiles:
        """Where the certificate of that name and its key lie."""
        return TlsFiles(self.ca, self.folder / name / "tls.crt", self.folder / name / "tls.key")

    @property
    def node_keystore(self) -> Path:
        """What Kafka reads: key, certificate and authority in one PEM."""
        return self.folder / NODE / "keystore.pem"

    def prepare(self) -> None:
        """Authority, node, admin and the processes: what is missing or soon at its end. Idempotent."""
        self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        with (self.folder / ".lock").open("a") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            if not self.ca.exists():
                self._found()
            self._issue(NODE, is_server=True)
            for name in (ADMIN, *CLIENTS):
                self._issue(name)

    def issue(self, name: str, *, anew: bool = False) -> TlsFiles:
        """A client's certificate, made if there is none that holds; `anew`: in place of the one there is."""
        with (self.folder / ".lock").open("a") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            self._issue(name, anew=anew)
        return self.files(name)

    def _found(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(self.name)
        certificate = (
            _builder(name, name, key.public_key(), _AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        write_atomic(self.folder / "ca.key", _pem(key))
        write_atomic(self.ca, certificate.public_bytes(Encoding.PEM), mode=0o644)

    def _issue(self, name: str, *, is_server: bool = False, anew: bool = False) -> None:
        files = self.files(name)
        files.key.parent.mkdir(mode=0o700, exist_ok=True)
        if not anew and files.certificate.exists() and files.key.exists():
            held = x509.load_pem_x509_certificate(files.certificate.read_bytes())
            if held.not_valid_after_utc - _RENEW_BEFORE > datetime.now(UTC):
                return
        signing_key = load_pem_private_key((self.folder / "ca.key").read_bytes(), None)
        assert isinstance(signing_key, ec.EllipticCurvePrivateKey)
        issuer = x509.load_pem_x509_certificate(self.ca.read_bytes())
        key = ec.generate_private_key(ec.SECP256R1())
        purposes = [ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = (
            _builder(_name(name), issuer.subject, key.public_key(), _DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
        )
        if is_server:
            purposes.append(ExtendedKeyUsageOID.SERVER_AUTH)
            names = [
                x509.DNSName("localhost"),
                x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            ]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False).sign(
            signing_key, hashes.SHA256()
        )
        chain = certificate.public_bytes(Encoding.PEM)
        # The key first: whoever watches takes up the pair when the certificate changes, too.
        write_atomic(files.key, _pem(key))
        write_atomic(files.certificate, chain, mode=0o644)
        if is_server:
            write_atomic(self.node_keystore, _pem(key) + chain + self.ca.read_bytes())


def install_server_pair(
    authority: Authority, folder: Path, owner: tuple[int, int] | None
) -> tuple[Path, Path]:
    """Copies of the node's certificate and key for a server that runs as another user; their paths."""
    files = authority.files(NODE)
    placed = folder / "server.crt", folder / "server.key"
    for source, target in zip((files.certificate, files.key), placed, strict=True):
        write_atomic(target, source.read_bytes())
        if owner is not None:
            os.chown(target, *owner)
    return placed


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

"""Passwords of the database logins on the secured stack: random, in files of 0600, known to the server as verifiers only.

A DSN names the file (`passfile`), never the password: no environment, process title or log can show it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urlsplit

from runtime.files import SecretFolder

SUPERUSER: Final = "postgres"
_ITERATIONS: Final = 4_096


@dataclass(frozen=True, slots=True)
class Passwords:
    """`<folder>/<login>/password` (a pgpass line) of each login. `ca`: whom its server's certificate must be signed by,
    or None where the server has no TLS."""

    folder: Path
    ca: Path | None = None

    def path(self, login: str) -> Path:
        """The login's password file."""
        return self.folder / login / "password"

    def ensure(self, login: str) -> bytes:
        """The login's password, made if it has none."""
        name = self.path(login).name
        line = SecretFolder(self.folder / login).put_if_absent(
            name, f"*:*:*:{login}:{secrets.token_hex(24)}\n".encode()
        )
        return line.rstrip(b"\n").rpartition(b":")[2]

    def dsn(self, plain: str, login: str) -> str:
        """A DSN that finds its password in the login's file, over TLS where the server has it."""
        query = {"passfile": str(self.path(login))}
        if self.ca is not None:
            query |= {"sslmode": "verify-full", "sslrootcert": str(self.ca)}
        return urlsplit(plain)._replace(query=urlencode(query, safe="/")).geturl()


def verifier(password: bytes) -> str:
    """What the server stores of a password (RFC 5802, SCRAM-SHA-256): it checks with it and cannot log in with it."""
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password, salt, _ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${_ITERATIONS}:{encoded[0]}${encoded[1]}:{encoded[2]}"


def login_rules(logins: tuple[str, ...], *, tls: bool) -> str:
    """pg_hba.conf: these logins with their passwords, from this machine, nobody else from anywhere.

    Base backups are the superuser's; `all` does not stand for them.
    """
    kind = "hostssl" if tls else "host"
    lines = [f"{kind} all {login} 127.0.0.1/32 scram-sha-256" for login in (SUPERUSER, *logins)]
    lines.append(f"{kind} replication {SUPERUSER} 127.0.0.1/32 scram-sha-256")
    return "\n".join([*lines, "host all all all reject", ""])

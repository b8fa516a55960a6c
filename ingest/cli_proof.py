"""`mkc proof`: makes the file with which the erasure consumer asks Meta to forget somebody. Must never print a token or secret.

The token is read from standard input, so that it stands in no process title and no shell history.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from pydantic_settings import SettingsConfigDict

from contracts.errors import InvalidSettings
from ingest.apps import load_apps
from ingest.appsecret_proof import appsecret_proof
from runtime.files import write_atomic
from runtime.settings import ProcessSettings, load


class ProofSettings(ProcessSettings):
    """Settings of `mkc proof`: `MKC_PROOF_*`."""

    model_config = SettingsConfigDict(env_prefix="MKC_PROOF_")

    health_port: int = 0
    """Not used: a command has no health server."""
    apps_file: Path
    """The apps file: the first secret of the app makes the proof."""


def main(arguments: list[str]) -> int:
    """`mkc proof --app APP --phone-number-id ID --into FOLDER < token`; the exit code."""
    parser = argparse.ArgumentParser(
        prog="mkc proof",
        description="Write FOLDER/ID.json (0600): an access token of that number, from standard input, and its"
        " appsecret_proof. FOLDER is the erasure consumer's MKC_ERASURE_META_TOKENS_DIR.",
    )
    parser.add_argument("--app", required=True, help="the app that the token is of, as in the apps file")
    parser.add_argument("--phone-number-id", required=True, metavar="ID", help="the number's id at Meta")
    parser.add_argument("--into", required=True, type=Path, metavar="FOLDER", help="made if it is not there")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")
    options = parser.parse_args(arguments)
    if not (options.phone_number_id.isascii() and options.phone_number_id.isdigit()):
        parser.error("--phone-number-id is a number")
    apps, _ = load_apps(load(ProofSettings).apps_file, "MKC_PROOF_APPS_FILE")
    app = apps.get(options.app)
    if app is None:
        raise InvalidSettings("MKC_PROOF_APPS_FILE: has no app of that name")
    token = sys.stdin.readline().strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        parser.error("standard input has no access token")
    proof = appsecret_proof(app.secrets[0].secret, token.encode())
    options.into.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = options.into / f"{options.phone_number_id}.json"
    write_atomic(file, json.dumps({"token": token, "proof": proof}).encode())
    said = {"file": str(file)}
    sys.stdout.write((json.dumps(said) if options.json else f"{file}") + "\n")
    return 0

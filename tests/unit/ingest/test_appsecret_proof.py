"""The proof beside an access token, and the file that `mkc proof` makes of both."""

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from ingest import cli_proof
from ingest.appsecret_proof import appsecret_proof
from store.erasure.at_meta.graph import Tokens

VECTORS = Path(__file__).parents[4] / "shared" / "vectors" / "meta-signatures.json"
needs_vectors = pytest.mark.skipif(not VECTORS.is_file(), reason="there is no ../shared/vectors here")


@needs_vectors
def test_the_published_proof_is_made() -> None:
    listed: list[dict[str, Any]] = json.loads(VECTORS.read_bytes())["appsecret_proof"]
    assert listed
    for vector in (one for one in listed if "proof" in one):
        made = appsecret_proof(vector["app_secret"].encode(), vector["access_token"].encode())
        assert made == vector["proof"]


def test_mkc_proof_writes_what_erasure_reads_and_shows_no_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, content in (("s.secret", "app-secret"), ("v", "verify")):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o600)
    apps = {"apps": {"demo": {"secrets": [{"id": "s", "file": "s.secret"}], "verify_token_file": "v"}}}
    (tmp_path / "apps.json").write_text(json.dumps(apps))
    monkeypatch.setenv("MKC_PROOF_APPS_FILE", str(tmp_path / "apps.json"))
    monkeypatch.setattr("sys.stdin", io.StringIO("EAAG-canary\n"))
    arguments = ["--app", "demo", "--phone-number-id", "1550", "--into", str(tmp_path / "tokens")]
    assert cli_proof.main(arguments) == 0
    access = Tokens(tmp_path / "tokens").access("1550")
    assert (access.token, access.proof) == ("EAAG-canary", appsecret_proof(b"app-secret", b"EAAG-canary"))
    assert "canary" not in repr(access)
    assert "canary" not in "".join(capsys.readouterr())
    assert os.stat(tmp_path / "tokens" / "1550.json").st_mode & 0o077 == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("two words\n"))
    with pytest.raises(SystemExit):
        cli_proof.main(arguments)

"""Unusable settings are named and never shown."""

import base64
from pathlib import Path

import pytest

from contracts.errors import InvalidSettings
from contracts.signing import Right, Signer
from ingest.settings import IngestSettings
from runtime.settings import load


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    files = ("APPS_FILE", "RAW_KEYS_FILE", "ROUTER_KEY_FILE", "REQUEST_KEYS_FILE", "CUSTODIAN_KEY_FILE")
    monkeypatch.setenv("MKC_INGEST_ERASURE_PAGE_URL", "https://example.org/erasure")
    for name in (*files, "SIGNING_KEY_FILE"):
        monkeypatch.setenv(f"MKC_INGEST_{name}", str(tmp_path / name.lower()))
    return tmp_path


def test_defaults_are_those_of_the_design(environment: Path) -> None:
    settings = load(IngestSettings)
    assert (settings.port, settings.health_port) == (18080, 18081)
    assert settings.body_limits().max_body_bytes == 4 * 1_048_576
    assert settings.queue_limits().max_age_s == 1.0
    assert settings.queue_limits().deadline_s < 4
    assert settings.connection_limits().max_connections == 2048
    assert str(environment) not in str(settings.summary())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROT", "canary"),
        ("PORT", "canary"),
        ("PORT", "0"),
        ("ANSWER_DEADLINE_S", "4.5"),
        ("MAX_BODY_BYTES", "4194305"),
        ("RAW_PARTITIONS", "0"),
    ],
)
@pytest.mark.usefixtures("environment")
def test_an_unusable_value_names_its_setting(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"MKC_INGEST_{name}", value)
    with pytest.raises(InvalidSettings, match=f"^MKC_INGEST_{name}: ") as caught:
        load(IngestSettings)
    assert value not in str(caught.value)


@pytest.mark.usefixtures("environment")
def test_a_missing_file_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MKC_INGEST_APPS_FILE")
    with pytest.raises(InvalidSettings, match="MKC_INGEST_APPS_FILE: is missing"):
        load(IngestSettings)


def test_the_signing_key_must_be_32_bytes_that_only_we_can_read(environment: Path) -> None:
    settings, key = load(IngestSettings), environment / "signing_key_file"
    with pytest.raises(InvalidSettings, match="MKC_INGEST_SIGNING_KEY_FILE"):
        settings.signer()
    key.write_bytes(bytes(31))
    key.chmod(0o600)
    with pytest.raises(InvalidSettings, match="32 bytes"):
        settings.signer()
    key.write_bytes(bytes(32))
    assert settings.signer().name == "ingest"
    key.chmod(0o644)
    with pytest.raises(InvalidSettings, match="0600"):
        settings.signer()


def test_the_router_may_sign_nothing_but_its_key_list(environment: Path) -> None:
    settings, key = load(IngestSettings), environment / "router_key_file"
    for wrong in (b"", b"!!", base64.b64encode(bytes(31))):
        key.write_bytes(wrong)
        with pytest.raises(InvalidSettings, match="MKC_INGEST_ROUTER_KEY_FILE"):
            settings.router()
    public = Signer.from_bytes("router", bytes(32)).public_raw
    key.write_bytes(base64.b64encode(public) + b"\n")
    assert settings.router().public_raw == public
    assert settings.router().may == {Right.SIGN_RAW_KEYS}

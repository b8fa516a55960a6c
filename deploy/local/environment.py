"""The settings of each process on this machine, as environment variables: paths, ports and addresses, no secret itself."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local.certificates import Authority
from deploy.local.identities import RECEIPT_KEY, RECEIPT_KEYS
from runtime.kafka.topics import TopicSettings

DEMO_APP: Final = "demo"


@dataclass(frozen=True, slots=True)
class Needs:
    """What the settings are made of. `logins`: database login to DSN."""

    keys: Path
    kafka: str
    logins: Mapping[str, str]
    receiver_port: int
    desk_port: int
    page_url: str
    health_ports: Mapping[str, int]
    topics: TopicSettings
    authority: Authority | None = None
    """Of a secured stack: where each process's certificate lies."""


def process_environments(needs: Needs) -> dict[str, dict[str, str]]:
    """Each process's variables, by process."""
    keys, public = needs.keys, needs.keys / "public"
    shared = {
        process: {
            f"MKC_{process.upper()}_KAFKA": needs.kafka,
            f"MKC_{process.upper()}_HEALTH_PORT": str(port),
            f"MKC_{process.upper()}_SIGNING_KEY_FILE": str(keys / process / "signing.key"),
            **certificate_settings(needs.authority, process),
        }
        for process, port in needs.health_ports.items()
    }
    signers = str(public / "control_signers.json")
    return {
        "ingest": shared["ingest"]
        | {
            "MKC_INGEST_PORT": str(needs.receiver_port),
            "MKC_INGEST_APPS_FILE": str(keys / "ingest" / "apps.json"),
            "MKC_INGEST_RAW_KEYS_FILE": str(public / "raw_keys.json"),
            "MKC_INGEST_ROUTER_KEY_FILE": str(public / "router.pub"),
            "MKC_INGEST_REQUEST_KEYS_FILE": str(public / "request_keys.json"),
            "MKC_INGEST_CUSTODIAN_KEY_FILE": str(public / "custodian.pub"),
            "MKC_INGEST_ERASURE_PAGE_URL": needs.page_url,
        },
        "router": shared["router"]
        | {
            "MKC_ROUTER_CONTROL_SIGNERS_FILE": signers,
            "MKC_ROUTER_SECRETS_DIR": str(keys / "router" / "secrets"),
            "MKC_ROUTER_RAW_KEYS_FILE": str(public / "raw_keys.json"),
        },
        "store": shared["store"]
        | {
            "MKC_STORE_CONTROL_SIGNERS_FILE": signers,
            "MKC_STORE_SECRETS_DIR": str(keys / "store" / "secrets"),
            "MKC_STORE_DATABASE": needs.logins["mk_store"],
        },
        "erasure": shared["erasure"]
        | {
            "MKC_ERASURE_CONTROL_SIGNERS_FILE": signers,
            "MKC_ERASURE_SECRETS_DIR": str(keys / "erasure" / "secrets"),
            "MKC_ERASURE_KEYRING_SECRETS_DIR": str(keys / "store" / "secrets"),
            "MKC_ERASURE_RECEIPT_KEY_FILE": str(keys / "erasure" / RECEIPT_KEY),
            "MKC_ERASURE_DATABASE": needs.logins["mk_erasure"],
        },
        "custodian": shared["custodian"]
        | {
            "MKC_CUSTODIAN_CONTROL_SIGNERS_FILE": signers,
            "MKC_CUSTODIAN_DATABASE": needs.logins["mk_custodian"],
            "MKC_CUSTODIAN_STORE_SECRETS_DIR": str(keys / "store" / "secrets"),
            "MKC_CUSTODIAN_ROUTER_SECRETS_DIR": str(keys / "router" / "secrets"),
            "MKC_CUSTODIAN_ERASURE_SECRETS_DIR": str(keys / "erasure" / "secrets"),
            "MKC_CUSTODIAN_ESCROW_DIR": str(keys / "escrow"),
            # One machine has one disk: the two places are what production has on two other machines.
            "MKC_CUSTODIAN_EXPORT_DIRS": json.dumps([str(keys / "exports-1"), str(keys / "exports-2")]),
            "MKC_CUSTODIAN_PUBLIC_KEYS_DIR": str(public),
            "MKC_CUSTODIAN_REQUEST_KEYS_FILE": str(public / "request_keys.json"),
            **_shortened("MKC_CUSTODIAN", needs.topics),
        },
        # It speaks to no Kafka and signs nothing.
        "desk": {
            "MKC_DESK_HEALTH_PORT": str(needs.health_ports["desk"]),
            "MKC_DESK_PORT": str(needs.desk_port),
            "MKC_DESK_DATABASE": needs.logins["mk_desk"],
        },
    }


def operator_environment(needs: Needs) -> dict[str, str]:
    """The variables with which `mkc` works in this checkout."""
    keys = needs.keys
    processes = process_environments(needs)
    return {
        # The quarantine of each zone is read with that zone's own settings.
        **processes["router"],
        **processes["store"],
        # `mkc erasure republish-fences` signs fences.
        **processes["erasure"],
        "MKC_READER_KAFKA": needs.kafka,
        **certificate_settings(needs.authority, "reader"),
        **certificate_settings(needs.authority, "operator"),
        "MKC_READER_DATABASE": needs.logins["mk_reader"],
        "MKC_READER_SECRETS_DIR": str(keys / "store" / "secrets"),
        "MKC_READER_CONTROL_SIGNERS_FILE": str(keys / "public" / "control_signers.json"),
        "MKC_OPERATOR_KAFKA": needs.kafka,
        "MKC_OPERATOR_SIGNING_KEY_FILE": str(keys / "operator" / "signing.key"),
        "MKC_OPERATOR_CONTROL_SIGNERS_FILE": str(keys / "public" / "control_signers.json"),
        "MKC_OPERATOR_DATABASE": needs.logins["mk_custodian"],
        "MKC_RECEIPT_KEYS_FILE": str(keys / "public" / RECEIPT_KEYS),
        "MKC_OPERATOR_ROUTING_SECRETS_DIR": str(keys / "router" / "secrets"),
        **_shortened("MKC_OPERATOR", needs.topics),
        "MKC_POST_URL": f"http://127.0.0.1:{needs.receiver_port}",
        "MKC_POST_APPS_FILE": str(keys / "ingest" / "apps.json"),
        "MKC_PROOF_APPS_FILE": str(keys / "ingest" / "apps.json"),
    }


def certificate_settings(authority: Authority | None, name: str) -> dict[str, str]:
    """How a process's settings name its certificate, key and authority; none of a plain stack."""
    if authority is None:
        return {}
    files, prefix = authority.files(name), f"MKC_{name.upper()}_KAFKA"
    return {
        f"{prefix}_CA_FILE": str(files.ca),
        f"{prefix}_CERT_FILE": str(files.certificate),
        f"{prefix}_KEY_FILE": str(files.key),
    }


def _shortened(prefix: str, topics: TopicSettings) -> dict[str, str]:
    shortened = {"RETENTION_MS": topics.retention_ms, "SEGMENT_MS": topics.segment_ms}
    return {f"{prefix}_{name}": str(value) for name, value in shortened.items() if value is not None}

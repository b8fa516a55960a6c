"""Topics: the constants of the design are held here, so that changing one is a decision."""

from __future__ import annotations

from contracts import topics
from contracts.metrics import METRICS


def test_every_topic_takes_the_brokers_time_and_has_an_owner_and_a_purpose() -> None:
    for spec in topics.STATIC_TOPICS:
        assert spec.config()["message.timestamp.type"] == "LogAppendTime"
        assert spec.purpose
        assert spec.owner
        assert spec.producers
        assert spec.consumers


def test_sizes_and_retention_are_those_of_the_design() -> None:
    hours = {
        spec.name: spec.retention_ms and spec.retention_ms / topics.HOUR_MS for spec in topics.STATIC_TOPICS
    }
    assert hours == {
        topics.RAW: 72,
        topics.QUARANTINE_RAW: 144,
        topics.QUARANTINE_TENANT: 144,
        topics.LEDGER: 720,
        topics.CONTROL: None,
        topics.ERASURE_REQUESTS: 720,
        topics.ERASURE_FENCES: 230 * 24,
        topics.ERASURE_OUTCOMES: 5 * 366 * 24,
        topics.AUDIT_CHECKPOINTS: 5 * 366 * 24,
    }
    assert topics.BY_NAME[topics.RAW].max_message_bytes == 5 * topics.MIB
    assert topics.BY_NAME[topics.QUARANTINE_RAW].max_message_bytes == 8 * topics.MIB
    assert topics.slot_topics("abcdefgh23", 1)[0].max_message_bytes == 6 * topics.MIB


def test_segments_are_small_against_retention() -> None:
    for spec in (*topics.STATIC_TOPICS, *topics.slot_topics("abcdefgh23", 1)):
        if spec.retention_ms is not None:
            assert spec.segment_ms * 6 <= spec.retention_ms


def test_only_control_is_compacted() -> None:
    assert [spec.name for spec in topics.STATIC_TOPICS if spec.compacted] == [topics.CONTROL]
    assert topics.BY_NAME[topics.CONTROL].config(retention_ms=1000)["retention.ms"] == "-1"


def test_a_slot_is_read_back_from_its_topic() -> None:
    assert topics.slot_of(topics.tenant_events_topic("abcdefgh23")) == "abcdefgh23"
    assert topics.slot_of(topics.tenant_keys_topic("abcdefgh23")) is None
    assert topics.slot_of(topics.RAW) is None


def test_metric_names_are_unique_and_explain_themselves() -> None:
    names = [spec.name for spec in METRICS]
    assert len(names) == len(set(names)) > 30
    assert all(spec.help.endswith((".", "page.", "page above 0.")) for spec in METRICS)
    assert all(spec.name.startswith("mk_") for spec in METRICS)

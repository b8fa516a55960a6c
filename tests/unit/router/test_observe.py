"""What the router counts. DESIGN.md section 9."""

from __future__ import annotations

from contracts import metrics as declared
from router.observe import Observer
from router.split import Item, split
from runtime.clock import SystemClock
from runtime.metrics import ProcessMetrics
from tests.fixtures.meta import bodies as meta


def unknown(body: bytes) -> Item:
    (found,) = split(body)
    assert isinstance(found, Item)
    assert found.event_type == "unknown.received"
    return found


def test_unknown_items_are_counted_by_object_and_field_and_a_strangers_word_is_no_label() -> None:
    metrics = ProcessMetrics("router")
    observer = Observer(metrics, SystemClock())
    for body in (
        meta.change("somebody's name", 1),
        meta.change("another name", 1),
        meta.whatsapp({}, "flows"),
        meta.messaging({}),
    ):
        observer.unknown_routed(unknown(body))
    shown = metrics.exposition().decode()
    name = declared.ROUTER_UNKNOWN.name
    assert f'{name}{{field="other",object="page"}} 2.0' in shown
    assert f'{name}{{field="flows",object="whatsapp_business_account"}} 1.0' in shown
    assert f'{name}{{field="none",object="page"}} 1.0' in shown
    assert "name" not in shown.partition(f"{name}{{")[2].partition("\n# ")[0]

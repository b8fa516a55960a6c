"""Many observations at once count as one after the other."""

from prometheus_client import CollectorRegistry, Histogram, generate_latest

from runtime.metrics import observe_many

AMOUNTS = (0.0, 0.1, 0.1000001, 0.5, 0.7, 1.0, 30.0, -1.0)


def page(histogram: Histogram) -> list[str]:
    """What a scrape shows, without the moment of creation."""
    registry = CollectorRegistry()
    registry.register(histogram)
    return [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]


def test_observing_many_at_once_gives_what_observing_each_does() -> None:
    one_by_one, together = (
        Histogram("mk_age_seconds", "An age.", registry=None, buckets=(0.1, 0.5, 1.0)) for _ in range(2)
    )
    for amount in AMOUNTS:
        one_by_one.observe(amount)
    observe_many(together, AMOUNTS)
    observe_many(together, ())
    assert page(together) == page(one_by_one)

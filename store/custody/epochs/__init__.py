"""Rotation of root epochs and tenant KEKs, exports of the key tables, recovery from them. Knows no Kafka."""

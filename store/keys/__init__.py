"""Storage keys and what they encrypt: root KEK, tenant KEK, DEK, cell. Knows no Kafka, no Postgres, no lanes."""

"""The events that the service hands on: one module per family, one registry. DESIGN.md section 5."""

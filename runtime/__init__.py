"""Process plumbing that every command shares: settings, logging, metrics, lifecycle, Kafka clients, `mkc` dispatch.

Never holds domain knowledge.
"""

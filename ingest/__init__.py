"""The receiver: verifies Meta's webhooks and makes them durable before it answers.

Holds app secrets, verify tokens, the router's public keys and its own signing key. Never holds a key that opens anything,
a database route or read rights on Kafka.
"""

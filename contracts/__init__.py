"""What the processes agree on, and all that a downstream service installs.

Holds the wire: events, topics, the sealing format, control records, errors. Never holds a Kafka, Postgres or HTTP
client, a private key, a logger or a clock: time, randomness and keys are arguments.
"""

"""A real Kafka and a real PostgreSQL on one Linux machine, for `make run`, the tests and the benchmarks.

Nothing here is for production: listeners are plain, logins are trusted, one node of each.
"""

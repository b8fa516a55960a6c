"""The router: opens raw blocks, splits them into items, hands each item to its tenant's topic.

Holds the raw private keys and the tenants' public and pseudonym keys. Never holds a tenant's private key or a database
route.
"""

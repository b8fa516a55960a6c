"""The store: keeps each tenant's messages encrypted in a Postgres schema of its own.

Sub-packages are borders: `lanes` persists, `keys` encrypts, `custody` provisions. Never holds Meta's app secrets.
"""

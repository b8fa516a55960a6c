"""The proof that Meta wants beside an access token: made where the app secret is, so that nobody else needs the secret.

Pure. Source: Meta's "Securing Graph API Requests"; vectors in META.md's `appsecret_proof`.
"""

from __future__ import annotations

import hmac


def appsecret_proof(app_secret: bytes, access_token: bytes) -> str:
    """64 hex digits: HMAC-SHA256 of the token under the app secret. It is of that token and that secret only."""
    return hmac.digest(app_secret, access_token, "sha256").hex()

"""Whatever is posted as a callback is a request or a typed refusal: nothing else is ever raised, whoever signed it."""

import base64
import hmac
from urllib.parse import urlencode

import orjson
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import RequestRejected
from ingest.signature import AppSecret
from ingest.signed_request import Cause, cause_of, field_of, verify

SECRET = AppSecret("s", b"property-secret")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def judged(form: bytes) -> Cause | None:
    try:
        return cause_of(verify(field_of(form), [SECRET]))
    except RequestRejected:
        return None


def signed(payload: bytes) -> bytes:
    part = base64.urlsafe_b64encode(payload).rstrip(b"=")
    signature = base64.urlsafe_b64encode(hmac.digest(SECRET.secret, part, "sha256"))
    return urlencode({"signed_request": signature + b"." + part}).encode()


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda body: b"signed_request=" + body))
def test_an_arbitrary_body_is_refused_typed(body: bytes) -> None:
    assert judged(body) is None


@given(st.binary(max_size=300))
def test_an_arbitrary_payload_that_is_rightly_signed_is_refused_typed(payload: bytes) -> None:
    assert judged(signed(payload)) is None


@given(st.dictionaries(st.sampled_from(["user_id", "issued_at", "algorithm", "x"]), JSON))
def test_only_a_payload_of_metas_form_makes_a_request(fields: dict[str, object]) -> None:
    try:
        payload = orjson.dumps(fields | {"algorithm": "HMAC-SHA256"})
    except TypeError:
        return  # integers beyond 64 bits: none of Meta's, and none that JSON here could say
    cause = judged(signed(payload))
    user, issued = fields.get("user_id"), fields.get("issued_at")
    if cause is not None:
        assert cause.user_id == str(user)
        assert cause.issued_at_s == issued

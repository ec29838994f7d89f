from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.authentication import (
    Keys,
    is_signed,
    may_be_signed,
    sign,
    signature_matches,
    signing_key,
    token_matches,
)

TOKEN = "whsec_dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0dGVzdHRlc3Q="
KEYS = Keys(secrets=("first", "second"), signing_key=signing_key(TOKEN) or b"")
BODY = b'{"object_kind":"note"}'
SIGNED = {
    "webhook-id": "f5e5f430-f57b-4e6e-9fac-d9128cd7232f",
    "webhook-timestamp": "1764000000",
    "webhook-signature": "v1,+KIxe+0MYc3iWSUhVOkwp5quhDIOndHuGMAZnwZxrYg=",
}
NOW = datetime.fromtimestamp(1764000000, UTC)


def test_the_known_vector_of_standard_webhooks_verifies() -> None:
    assert signature_matches(SIGNED, BODY, KEYS, NOW)


def test_one_of_several_signatures_is_enough() -> None:
    both = SIGNED | {"webhook-signature": f"v1,bm90IG91cnM= {SIGNED['webhook-signature']} v2,x"}
    assert signature_matches(both, BODY, KEYS, NOW)


@given(st.integers(0, len(BODY) * 8 - 1))
def test_one_changed_bit_of_the_body_does_not_verify(bit: int) -> None:
    changed = bytearray(BODY)
    changed[bit // 8] ^= 1 << bit % 8
    assert not signature_matches(SIGNED, bytes(changed), KEYS, NOW)


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "other"},
        {"webhook-id": ""},
        {"webhook-timestamp": "1764000001"},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "١٧٦٤"},
        {"webhook-timestamp": "9" * 5000},
        {"webhook-timestamp": "-1764000000"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": SIGNED["webhook-signature"].replace("v1", "v2")},
        {"webhook-signature": "v1,\udcff\udcfe"},
        {"webhook-id": "\udcff"},
    ],
)
def test_sr_01_a_changed_signature_header_does_not_verify(changed: dict[str, str]) -> None:
    assert not signature_matches(SIGNED | changed, BODY, KEYS, NOW)


@pytest.mark.parametrize(
    ("seconds", "fresh"), [(300, True), (-300, True), (301, False), (-301, False)]
)
def test_a_signature_is_good_for_five_minutes_either_way(seconds: int, *, fresh: bool) -> None:
    assert signature_matches(SIGNED, BODY, KEYS, NOW + timedelta(seconds=seconds)) is fresh


def test_without_a_signing_key_no_signature_verifies() -> None:
    # An empty HMAC key would else be a key that everybody knows.
    forged = SIGNED | {"webhook-signature": sign(b"", SIGNED["webhook-id"], "1764000000", BODY)}
    assert not may_be_signed(forged, Keys(secrets=("first",)), NOW)
    assert not signature_matches(forged, BODY, Keys(secrets=("first",)), NOW)


def test_an_empty_signature_header_still_counts_as_signed() -> None:
    assert is_signed({"webhook-signature": ""})
    assert not is_signed({"X-Gitlab-Token": "first"})


@pytest.mark.parametrize("token", ["first", "second"])
def test_sr_05_both_secrets_are_accepted_while_one_is_replaced(token: str) -> None:
    assert token_matches({"X-Gitlab-Token": token}, KEYS)


@pytest.mark.parametrize("token", ["", "firs", "first ", "First", "first,second", "é", "\udcff"])
def test_sr_01_any_other_token_is_refused(token: str) -> None:
    assert not token_matches({"X-Gitlab-Token": token}, KEYS)


def test_sr_01_without_secrets_no_token_is_good() -> None:
    assert not token_matches({"X-Gitlab-Token": ""}, Keys())
    assert not token_matches({}, Keys())


@given(st.text(st.characters(exclude_categories=())))
def test_sr_01_no_header_text_raises(text: str) -> None:
    # aiohttp decodes header bytes with surrogateescape, so only those surrogates can occur.
    header = text.encode("utf-8", "replace").decode("ascii", "surrogateescape")
    headers = {"X-Gitlab-Token": header} | dict.fromkeys(SIGNED, header)
    assert not token_matches(headers, KEYS)
    assert not signature_matches(headers, BODY, KEYS, NOW)
    assert not signature_matches(headers | {"webhook-timestamp": "1764000000"}, BODY, KEYS, NOW)


def test_a_secret_beyond_ascii_can_be_sent_as_utf_8() -> None:
    header = "schlüssel".encode().decode("utf-8", "surrogateescape")
    assert token_matches({"X-Gitlab-Token": header}, Keys(secrets=("schlüssel",)))


@pytest.mark.parametrize("token", ["", "whsec_", "whsec_!!!", "dGVzdA==", "whsec_é"])
def test_what_is_no_signing_token_has_no_key(token: str) -> None:
    assert signing_key(token) is None

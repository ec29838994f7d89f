"""Whether a webhook comes from our GitLab: pure, from its headers and the raw body.

Called by `webhook` before anything is parsed. The signed form is Standard Webhooks, which GitLab
sends from 19.0 on; a signature that is present must verify, the token does not stand in for it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import datetime

import msgspec

TOKEN = "X-Gitlab-Token"  # noqa: S105  a header's name
SIGNATURE = "webhook-signature"
SIGNATURE_ID = "webhook-id"
SIGNATURE_TIME = "webhook-timestamp"
SIGNING_PREFIX = "whsec_"
TOLERANCE_SECONDS = 300
MOST_SIGNATURES = 10
_SECONDS = re.compile(r"[0-9]{1,12}")


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """What a hook may prove itself with: plain secrets (two while one is replaced), signing key."""

    secrets: tuple[str, ...] = ()
    signing_key: bytes = b""


def signing_key(token: str) -> bytes | None:
    """The key in a `whsec_…` token, or None when it is not one."""
    if not token.startswith(SIGNING_PREFIX):
        return None
    try:
        return base64.b64decode(token[len(SIGNING_PREFIX) :], validate=True) or None
    except (binascii.Error, ValueError):
        return None


def is_signed(headers: Mapping[str, str]) -> bool:
    """Whether only the signature counts; an empty one is a signature that does not verify."""
    return SIGNATURE in headers


def token_matches(headers: Mapping[str, str], keys: Keys) -> bool:
    """Whether `X-Gitlab-Token` is one of the secrets; the time taken tells nothing of either."""
    given = _digest(_bytes(headers.get(TOKEN, "")))
    matches = [hmac.compare_digest(given, _digest(_bytes(secret))) for secret in keys.secrets]
    return any(matches)


def may_be_signed(headers: Mapping[str, str], keys: Keys, now: datetime) -> bool:
    """Whether the signature headers deserve that the body is read and the signature computed."""
    seconds = headers.get(SIGNATURE_TIME, "")
    if not keys.signing_key or not headers.get(SIGNATURE_ID) or not _SECONDS.fullmatch(seconds):
        return False
    return abs(now.timestamp() - int(seconds)) <= TOLERANCE_SECONDS


def signature_matches(headers: Mapping[str, str], body: bytes, keys: Keys, now: datetime) -> bool:
    """Whether one of the `v1` signatures is ours over id, time and raw body, and is fresh."""
    if not may_be_signed(headers, keys, now):
        return False
    expected = _bytes(sign(keys.signing_key, headers[SIGNATURE_ID], headers[SIGNATURE_TIME], body))
    given = headers[SIGNATURE].split(" ")[:MOST_SIGNATURES]
    matches = [hmac.compare_digest(_bytes(signature), expected) for signature in given]
    return any(matches)


def sign(key: bytes, webhook_id: str, seconds: str, body: bytes) -> str:
    """The signature GitLab sends: `v1,` and the base64 of the HMAC-SHA256."""
    message = _bytes(f"{webhook_id}.{seconds}.") + body
    return "v1," + base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()


def _digest(value: bytes) -> bytes:
    """Equal lengths for `compare_digest`, which would else tell the secret's length."""
    return hashlib.sha256(value).digest()


def _bytes(text: str) -> bytes:
    # aiohttp gives header bytes that are not UTF-8 as lone surrogates; plain encode would raise.
    return text.encode("utf-8", "surrogateescape")

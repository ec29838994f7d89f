"""Finds secrets in a text about to be published (SR-27). A finding blocks the text.

Called by `clean` and `suggestions`. Two kinds block: shapes that only tokens have, and values of
our own settings in any common disguise. High entropy alone never blocks: commit shas, UUIDs,
hashes and images in code would make reviews vanish. It counts only in quotes right after a name
such as `password =`.
"""

from __future__ import annotations

import base64
import html
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from urllib.parse import unquote

_FORMATS = {
    "a GitLab token": (
        r"\bgl(?:pat|dt|rt|rtr|cbt|ptt|ft|imt|agent|soat|oas|ffct|wt)-[A-Za-z0-9_.-]{18,}"
    ),
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{22,})",
    "a private key": r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----",
    "an AWS key": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "a JSON web token": r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
    "a Slack token": (
        r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}|hooks\.slack\.com/services/T[A-Za-z0-9/]{20,}"
    ),
    "a Google key": r"\bAIza[A-Za-z0-9_-]{35}|\bya29\.[A-Za-z0-9_-]{20,}",
    "a model provider's key": r"\bsk-(?:ant-|proj-|svcacct-)?[A-Za-z0-9_-]{32,}",
    "an npm token": r"\bnpm_[A-Za-z0-9]{36}",
    "a PyPI token": r"\bpypi-[A-Za-z0-9_-]{50,}",
    "a webhook signing secret": r"\bwhsec_[A-Za-z0-9+/=]{24,}",
}
_KNOWN = {name: re.compile(pattern) for name, pattern in _FORMATS.items()}
_ASSIGNED = re.compile(
    r"(?:secret|token|passwd|password|api_?key|apikey|access_?key|private_?key|credential)"
    r"[A-Za-z0-9_]{0,30}[\"']?\s{0,3}(?::|=>?|:=)\s{0,3}[\"']([^\"'\s]{16,200})[\"']",
    re.IGNORECASE,
)
_HEX_OR_UUID = re.compile(r"[0-9a-f-]+", re.IGNORECASE)
_TEMPLATE = re.compile(r"[${}<>%()\[\]]|\.\.\.|example|changeme|placeholder|dummy", re.IGNORECASE)
_NOT_ALNUM = re.compile(r"[^A-Za-z0-9]+")
_LINE_BREAK = re.compile(r"\s*\n[\s>]*")
_MIN_SECRET = 6
_MIN_SQUASHED = 8
_MIN_ENTROPY = 3.5  # bits per character; words and identifiers stay below
_FILLER_CHARS = 5  # `glpat-xxxxxxxx` and the like are examples


def find_secret(text: str, secrets: Iterable[str]) -> str | None:
    """What was found, in words that do not show it; None when nothing was."""
    if any(_disguised(text, secret) for secret in secrets if len(secret) >= _MIN_SECRET):
        return "the text contains a secret of this installation"
    joined = _LINE_BREAK.sub("", text)
    for name, pattern in _KNOWN.items():
        if any(_looks_real(match[0]) for match in _matches(pattern, text, joined)):
            return f"the text contains what looks like {name}"
    if any(_looks_random(match[1]) for match in _ASSIGNED.finditer(text)):
        return "the text contains what looks like a password or key in quotes"
    return None


def _matches(pattern: re.Pattern[str], *texts: str) -> Iterator[re.Match[str]]:
    for text in texts:
        yield from pattern.finditer(text)


def _looks_real(token: str) -> bool:
    if token.startswith("-----"):
        return True
    if "EXAMPLE" in token:  # the key in Amazon's documents
        return False
    body = re.split(r"[-_]", token, maxsplit=1)[-1]
    return len(set(body)) > _FILLER_CHARS


def _looks_random(value: str) -> bool:
    if _HEX_OR_UUID.fullmatch(value) or _TEMPLATE.search(value):
        return False
    mixed = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
    return mixed and _entropy(value) >= _MIN_ENTROPY


def _entropy(value: str) -> float:
    counts = Counter(value).values()
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts)


def _disguised(text: str, secret: str) -> bool:
    """Plain, reversed, base64, hex, url or entity encoded; split by anything not alphanumeric."""
    for view in {text, unquote(text), html.unescape(text)}:
        if secret in view:
            return True
        squashed = _NOT_ALNUM.sub("", view)
        lower = squashed.lower()
        exact, folded = _forms(secret)
        if any(form in squashed for form in exact) or any(form in lower for form in folded):
            return True
    return False


@lru_cache(maxsize=64)
def _forms(secret: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Disguises without their punctuation: those with case, and those without."""
    raw = secret.encode("utf-8", "surrogatepass")
    exact = {_squash(secret), _squash(secret[::-1]), *_base64_forms(raw), *_base64_forms(raw[::-1])}
    folded = {raw.hex(), raw[::-1].hex(), _squash(secret).lower(), _squash(secret[::-1]).lower()}
    return (
        tuple(form for form in exact if len(form) >= _MIN_SQUASHED),
        tuple(form for form in folded if len(form) >= _MIN_SQUASHED),
    )


def _squash(text: str) -> str:
    return _NOT_ALNUM.sub("", text)


def _base64_forms(raw: bytes) -> Iterator[str]:
    """The part that stays the same whatever stands before and after, for the three alignments."""
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw).decode()
        first = (shift * 8 + 5) // 6
        last = (shift + len(raw)) * 8 // 6
        for form in (encoded[first:last], encoded[first:last].translate({43: 45, 47: 95})):
            yield _squash(form)

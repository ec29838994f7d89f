"""The output firewall: every text a model or a person wrote passes here before it is published.

Called by `render` and by whatever else puts foreign text into GitLab or Jira. Pure. Requirements
SR-24 to SR-31; what each module does is said at its top. `clean` of a cleaned text changes nothing.
Our own markup (headings, fences, markers) is added after it.
"""

from __future__ import annotations

from services.publisher.firewall import blocks, limits, quick_actions
from services.publisher.firewall.bare import bare
from services.publisher.firewall.inline import code_span
from services.publisher.firewall.invisible import normal_lines, visible
from services.publisher.firewall.policy import (
    COMMENT_CHARS,
    GITLAB_CHARS,
    SUMMARY_CHARS,
    Cleaned,
    Policy,
)
from services.publisher.firewall.secrets import find_secret
from services.publisher.firewall.suggestions import is_protected, suggestion_block

__all__ = [
    "COMMENT_CHARS",
    "GITLAB_CHARS",
    "SUMMARY_CHARS",
    "Cleaned",
    "Policy",
    "bare",
    "clean",
    "is_protected",
    "one_line_code",
    "suggestion_block",
]


def clean(text: str, *, policy: Policy) -> Cleaned:
    """The text as it may be published, or the reason why it may not."""
    kinds: set[str] = set()
    tidy = visible(normal_lines(text))
    if tidy != text:
        kinds.add("invisible")
    if blocked := _secret_in(text, tidy, policy):
        return Cleaned(text="", removed=tuple(sorted(kinds)), blocked=blocked)
    if too_long := len(tidy) > policy.max_chars:
        tidy = tidy[: policy.max_chars]
    pieces = _pieces(tidy, policy, kinds)
    out = _join(pieces)
    if too_long or len(out) > policy.max_chars:
        kinds.add("cut")
        out = limits.cut(pieces, policy.max_chars, lambda part: _join(_pieces(part, policy, kinds)))
    if blocked := find_secret(out, policy.secrets):
        return Cleaned(text="", removed=tuple(sorted(kinds)), blocked=blocked)
    return Cleaned(text=out, removed=tuple(sorted(kinds)))


def one_line_code(text: str) -> str:
    """A file name or the like as inline code; it cannot leave its line or its backticks."""
    return code_span(" ".join(visible(normal_lines(text)).split("\n")).strip() or "?")


def _secret_in(raw: str, tidy: str, policy: Policy) -> str | None:
    return find_secret(tidy, policy.secrets) or find_secret(raw, policy.secrets)


def _join(pieces: list[str]) -> str:
    return "\n".join(pieces).rstrip()


def _pieces(tidy: str, policy: Policy, kinds: set[str]) -> list[str]:
    pieces: list[str] = []
    for block in blocks.split(tidy.strip()):
        if isinstance(block, blocks.Fence):
            pieces.append(blocks.render_fence(block, kinds))
        else:
            prose = blocks.render_prose(block, policy, kinds)
            pieces.append(prose if pieces else quick_actions.defuse_top(prose.lstrip()))
    return [piece for piece in pieces if piece]

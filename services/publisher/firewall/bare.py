"""Text for places that GitLab does not read as Markdown: commit messages and titles.

A backslash would show there and stop nothing, so what GitLab acts on gets a space in its middle:
references and mentions, addresses, and a `/word` at the start of a line, which runs when GitLab
makes a commit's message the description of a merge request (SR-24, SR-25).
"""

from __future__ import annotations

import re

from services.publisher.firewall import quick_actions
from services.publisher.firewall.html_and_links import URL, may_link
from services.publisher.firewall.invisible import normal_lines, visible
from services.publisher.firewall.policy import Cleaned, Policy
from services.publisher.firewall.secrets import find_secret

_REFERENCE = re.compile(r"[@~%](?=[\w\"'{])|[#!&$](?=[\d\"'])|\^(?=\w)|\bGL-(?=\d)", re.IGNORECASE)
_BRACKET = re.compile(r"\[(?=(?:skip|no|cve|vulnerability|issue|epic|feature)\b)", re.IGNORECASE)


def bare(text: str, *, policy: Policy) -> Cleaned:
    """The text as it may stand in a commit or a title, or the reason why it may not."""
    tidy = visible(normal_lines(text)).strip()
    blocked = find_secret(tidy, policy.secrets) or find_secret(text, policy.secrets)
    if blocked:
        return Cleaned(text="", blocked=blocked)
    lines = [_line(line, policy) for line in tidy[: policy.max_chars].split("\n")]
    out = "\n".join(lines)[: policy.max_chars].rstrip()
    return Cleaned(text=out, removed=() if out == tidy else ("reference",))


def _line(line: str, policy: Policy) -> str:
    parts, at = [], 0
    for found in URL.finditer(line):
        parts.append(_parted(line[at : found.start()]))
        kept = may_link(found[0], policy.allowed_hosts)
        parts.append(found[0] if kept else _parted(found[0].replace("://", ": //")))
        at = found.end()
    parts.append(_parted(line[at:]))
    out = "".join(parts)
    if quick_actions.starts_command(out):
        slash = out.index("/")
        out = f"{out[: slash + 1]} {out[slash + 1 :]}"
    return out


def _parted(text: str) -> str:
    return _BRACKET.sub("[ ", _REFERENCE.sub(lambda found: f"{found[0]} ", text))

"""What the firewall may let through, and what it hands back. Built by the publisher's wiring."""

from __future__ import annotations

import msgspec

COMMENT_CHARS = 8_000
SUMMARY_CHARS = 30_000
GITLAB_CHARS = 1_000_000
"""GitLab refuses a longer note (reference, gitlab-and-jira 2.6)."""

PROTECTED_PATHS = (
    ".gitlab-ci.yml",
    "*.gitlab-ci.yml",
    ".gitlab/**",
    ".github/**",
    ".claude/**",
    ".githooks/**",
    ".husky/**",
    "hooks/**",
    "CODEOWNERS",
    ".gitmodules",
    ".gitattributes",
    "AGENTS.md",
    "CLAUDE.md",
)
"""A name without a slash counts in every folder; what the CI file includes is added by settings."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Rules of one text. Everything is refused unless it is named here."""

    allowed_hosts: frozenset[str] = frozenset()
    """Hosts links may lead to (GitLab, Jira): lower case, with a port that is not the usual."""
    allowed_mentions: frozenset[str] = frozenset()
    """User names, without `@`, that a text may notify."""
    secrets: tuple[str, ...] = ()
    """Values of our own settings that must never be published in any disguise."""
    protected_paths: tuple[str, ...] = PROTECTED_PATHS
    max_chars: int = COMMENT_CHARS

    def __repr__(self) -> str:
        return f"Policy(allowed_hosts={sorted(self.allowed_hosts)!r}, max_chars={self.max_chars})"


class Cleaned(msgspec.Struct, frozen=True, kw_only=True):
    """A text that may be published, unless `blocked` says why not; then `text` is empty."""

    text: str
    removed: tuple[str, ...] = ()
    """Kinds of things that were taken out or made harmless, for the log."""
    blocked: str | None = None
    """A reason that does not show the secret."""

"""What can go wrong with git, as decisions, and stderr turned into a sentence that is safe to show.

Raised by `command`, `clone` and `read`; the runner maps `reason` to the reason of `TaskFailed`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import ClassVar, Literal
from urllib.parse import quote

from libs.common.errors import AgentError, Permanent, Temporary, cut

GitReason = Literal["clone", "auth", "timeout"]


class GitError(AgentError):
    """Root of this door's errors; the text holds no token and no userinfo of a url."""

    reason: ClassVar[GitReason] = "clone"


class CloneFailed(GitError, Permanent):
    """git failed in a way that trying again does not change."""


class RefGone(CloneFailed):
    """A sha, branch or project is not (or no longer) on the server."""


class DiskFull(CloneFailed):
    """There is no room for the repository."""


class TooLarge(CloneFailed):
    """git printed more than the caller wanted to hold."""


class AuthFailed(GitError, Permanent):
    """The server refused the token."""

    reason: ClassVar[GitReason] = "auth"


class HostAway(GitError, Temporary):
    """GitLab's git door does not answer, or not sensibly."""


class GitTimedOut(GitError, Temporary):
    """git was ended because its time was up."""

    reason: ClassVar[GitReason] = "timeout"


REDACTED = "[redacted]"
_USERINFO = re.compile(r"(?<=://)[^/@\s'\"]+@")
_HEADER = re.compile(r"authorization:\s*\w+\s+\S+|private-token:\s*\S+", re.IGNORECASE)
_TOKEN = re.compile(r"\b(?:gl[a-z]{2,8}-|gh[a-z]_|github_pat_)[\w.-]{8,}")

# First match wins: what git or curl says (lower case), the error, and our sentence.
_MEANINGS: tuple[tuple[tuple[str, ...], type[GitError], str], ...] = (
    (("no space left", "quota exceeded", "disk full"), DiskFull, "no room left on the disk"),
    (
        (
            "authentication failed",
            "could not read username",
            "could not read password",
            "terminal prompts disabled",
            "access denied",
            "returned error: 401",
            "returned error: 403",
        ),
        AuthFailed,
        "GitLab refused the token; check GITLAB_READ_TOKEN (read_repository)",
    ),
    (
        ("base from redirection", "returned error: 30"),
        CloneFailed,
        "the server answered with a redirect, which is not followed",
    ),
    (
        (
            "couldn't find remote ref",
            "not our ref",
            "unadvertised object",
            "no such remote ref",
            "did not send all necessary objects",
        ),
        RefGone,
        "no longer on the server ({said})",
    ),
    (
        ("ssl certificate", "certificate verif", "unable to get local issuer", "tls connect"),
        HostAway,
        "the certificate is not trusted, see CA_BUNDLE ({said})",
    ),
    (
        (
            "could not resolve",
            "couldn't resolve",
            "failed to connect",
            "couldn't connect",
            "connection refused",
            "connection reset",
            "connection timed out",
            "empty reply",
            "operation too slow",
            "operation timed out",
            "returned error: 429",
            "returned error: 5",
            "early eof",
            "protocol error",
            "rpc failed",
            "hung up unexpectedly",
            "gnutls",
            "openssl",
            "transfer closed",
            "expected flush",
            "invalid server response",
            "not valid: is this a git repository",
        ),
        HostAway,
        "GitLab did not answer well ({said})",
    ),
    (
        ("returned error: 404", "' not found", "could not be found", "does not appear to be"),
        RefGone,
        "no such repository, or GITLAB_READ_TOKEN may not read it",
    ),
)


def basic_credentials(token: str) -> str:
    """The value git sends for a token; GitLab takes any user name with it."""
    return base64.b64encode(f"oauth2:{token}".encode()).decode()


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without tokens, in any form we send them, and without userinfo in urls (SR-37)."""
    for secret in filter(None, secrets):
        for form in (basic_credentials(secret), quote(secret, safe=""), secret):
            text = text.replace(form, REDACTED)
    for pattern in (_HEADER, _USERINFO, _TOKEN):
        text = pattern.sub(REDACTED, text)
    return text


def failure(stderr: str, *, what: str, secrets: Iterable[str] = ()) -> GitError:
    """The error that git's own words stand for. Pure; `what` says what was tried."""
    low = stderr.lower()
    said = cut(scrub(_last_words(stderr), secrets), 160)
    for words, kind, sentence in _MEANINGS:
        if any(word in low for word in words):
            text = f"{what}: {sentence.format(said=said)}"
            return HostAway(text, delay=15.0, peer="gitlab") if kind is HostAway else kind(text)
    return CloneFailed(f"{what}: {said or 'git ended without a word'}")


def _last_words(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal:", "error:", "remote:"))]
    return (telling or lines or [""])[-1]

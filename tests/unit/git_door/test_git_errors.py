"""stderr to decisions, and texts that are safe to show."""

from __future__ import annotations

import pytest

from libs.common.errors import Permanent, Temporary
from libs.common.git.errors import (
    AuthFailed,
    CloneFailed,
    DiskFull,
    GitTimedOut,
    HostAway,
    RefGone,
    basic_credentials,
    failure,
    scrub,
)

TOKEN = "glpat-secret/with+signs0123"


@pytest.mark.parametrize(
    ("stderr", "kind"),
    [
        ("fatal: Authentication failed for 'https://h/p.git/'", AuthFailed),
        (
            "remote: HTTP Basic: Access denied\nfatal: could not read Username for 'https'",
            AuthFailed,
        ),
        ("fatal: unable to access 'https://h/': The requested URL returned error: 403", AuthFailed),
        ("fatal: unable to access 'x': Could not resolve host: h", HostAway),
        ("fatal: unable to access 'x': Failed to connect to h port 443", HostAway),
        ("fatal: unable to access 'x': SSL certificate problem: self-signed", HostAway),
        ("fatal: unable to access 'x': The requested URL returned error: 502", HostAway),
        ("error: RPC failed; curl 56 Recv failure\nfatal: early EOF", HostAway),
        ("fatal: couldn't find remote ref refs/heads/x", RefGone),
        ("fatal: remote error: upload-pack: not our ref abab", RefGone),
        ("error: Server does not allow request for unadvertised object abab", RefGone),
        ("fatal: repository 'https://h/p.git/' not found", RefGone),
        ("fatal: write error: No space left on device", DiskFull),
        ("fatal: unable to update url base from redirection:", CloneFailed),
        ("fatal: something new", CloneFailed),
        ("", CloneFailed),
    ],
)
def test_words_of_git_become_a_decision(stderr, kind):
    assert type(failure(stderr, what="fetch")) is kind


def test_every_error_says_whether_to_try_again_and_why_the_task_failed():
    kinds = (CloneFailed, RefGone, DiskFull, AuthFailed, HostAway, GitTimedOut)

    assert [(kind.reason, issubclass(kind, Permanent)) for kind in kinds] == [
        ("clone", True),
        ("clone", True),
        ("clone", True),
        ("auth", True),
        ("clone", False),
        ("timeout", False),
    ]
    assert all(issubclass(kind, Permanent | Temporary) for kind in kinds)


@pytest.mark.parametrize(
    "text",
    [
        f"fatal: unable to access 'https://oauth2:{TOKEN}@gitlab.example/p.git'",
        "GET https://oauth2:glpat-secret%2Fwith%2Bsigns0123@gitlab.example/p.git",
        f"=> Send header: Authorization: Basic {basic_credentials(TOKEN)}",
        f"PRIVATE-TOKEN: {TOKEN}",
        f"plain {TOKEN} here",
        f"base64 {basic_credentials(TOKEN)} here",
    ],
)
def test_sr_37_a_text_with_the_token_loses_it(text):
    cleaned = scrub(text, [TOKEN])

    assert "secret" not in cleaned
    assert basic_credentials(TOKEN) not in cleaned
    assert "[redacted]" in cleaned


def test_sr_37_a_token_of_someone_else_is_removed_by_its_form():
    assert scrub("https://user:pw@host/p and glpat-abcdefgh1234") == (
        "https://[redacted]host/p and [redacted]"
    )


def test_a_failure_is_cut_to_a_line():
    error = failure("fatal: " + "x\n" * 10 + "fatal: " + "y" * 5000, what="fetch")

    assert len(str(error)) <= 256
    assert "\n" not in str(error)

"""Which clone urls get our token (SR-03, SR-04)."""

from __future__ import annotations

import pytest

from libs.common.gitlab.clone_url import clone_url_allowed, same_origin

GITLAB = "https://gitlab.internal:8443/gitlab"
EXTERNAL = "https://gitlab.example/group/project"


@pytest.mark.parametrize(
    "url",
    [
        "https://gitlab.internal:8443/group/project.git",
        "https://gitlab.example/group/project.git",
        "https://gitlab.example:443/group/project.git",
        "https://GITLAB.example/group/project.git",
    ],
)
def test_urls_of_the_instance_are_allowed(url):
    assert clone_url_allowed(url, GITLAB, EXTERNAL)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://evil.example/group/project.git",
        "https://gitlab.internal/group/project.git",
        "https://gitlab.example:8443/group/project.git",
        "http://gitlab.example/group/project.git",
        "https://gitlab.example.evil.example/p.git",
        "https://gitlab.example@evil.example/p.git",
        "https://evil.example#@gitlab.example/p.git",
        "https://evil.example\\@gitlab.example/p.git",
        "https://user:pw@gitlab.example/p.git",
        "https://gitlab.example /p.git",
        "https://gitlab.example/\n",
        "ssh://git@gitlab.example/p.git",
        "git@gitlab.example:group/project.git",
        "file:///etc/passwd",
        "//gitlab.example/p.git",
        "https://gitlab.example:port/p.git",
        "https://[::1/p.git",
    ],
)
def test_sr_04_other_urls_are_not(url):
    assert not clone_url_allowed(url, GITLAB, EXTERNAL)


@pytest.mark.parametrize(
    ("url", "allow_http", "allowed"),
    [
        ("http://127.0.0.1:8080/p.git", False, True),
        ("http://localhost:8080/p.git", False, True),
        ("http://[::1]:8080/p.git", False, True),
        ("http://gitlab.test:8080/p.git", False, False),
        ("http://gitlab.test:8080/p.git", True, True),
    ],
)
def test_plain_http_is_for_loopback_or_by_permission(url, allow_http, allowed):
    assert clone_url_allowed(url, url, url, allow_http=allow_http) is allowed


def test_an_instance_that_names_no_address_adds_none():
    assert not clone_url_allowed("", "", "")
    assert not same_origin("", "")

"""Answers that are refusals become decisions: pure."""

from __future__ import annotations

import json

import pytest
import requests
from gitlab.exceptions import GitlabParsingError

from libs.common.errors import Permanent, Temporary
from libs.common.gitlab.backend import StrangeAnswer, translated
from libs.common.gitlab.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    TimedOut,
    Unauthorized,
    Unavailable,
    rate_limit_delay,
    refusal,
)
from libs.common.gitlab.server import Server

SERVER = Server(url="https://gitlab.test", token="glpat-canary0123456789", token_setting="A_TOKEN")
NOW = 1_700_000_000.0


def refused(status, answer, headers=None):
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return refusal(status, headers or {}, body, server=SERVER, now=NOW)


@pytest.mark.parametrize(
    ("status", "answer", "kind"),
    [
        (400, {"message": "400 Bad request - Note {:line_code=>[]}"}, Invalid),
        (400, {"error": "position[base_sha] is missing"}, Invalid),
        (400, {"message": {"position": ["must be a valid json schema"]}}, Invalid),
        (405, {"message": "405 Method Not Allowed"}, Invalid),
        (422, {"message": ["Branch cannot be merged"]}, Invalid),
        (403, {"message": "403 Forbidden"}, Forbidden),
        (404, {"message": "404 Project Not Found"}, NotFound),
        (410, {"message": "gone"}, NotFound),
        (409, {"message": ["Another open merge request already exists: !59"]}, Conflict),
        (409, {"message": "Resource lock"}, Unavailable),
        (401, {"message": "401 Unauthorized"}, Unauthorized),
        (401, {"error": "invalid_token", "error_description": "Token is expired."}, Unauthorized),
        (401, b"<html>", Unauthorized),
        (403, {"error": "insufficient_scope", "scope": "api"}, Unauthorized),
        (403, {"message": "You cannot perform write operations on a read-only"}, Unavailable),
        (403, b"Forbidden\n", Unavailable),
        (404, b"<html>nginx</html>", Unavailable),
        (404, b"[]", Unavailable),
        (404, b"", Unavailable),
        (429, b"Retry later\n", RateLimited),
        (429, {"message": {"error": "too many times"}}, RateLimited),
        (500, {"message": "500 Internal Server Error"}, Unavailable),
        (502, b"<html>Bad Gateway</html>", Unavailable),
        (520, b"\xff\xfe", Unavailable),
        (302, b"", Unavailable),
        (400, b"[" * 100_000, Unavailable),
    ],
)
def test_an_answer_becomes_a_decision(status, answer, kind):
    error = refused(status, answer)

    assert type(error) is kind
    assert error.status == status
    assert len(str(error)) <= 256


def test_a_refusal_is_final_and_an_absence_is_not():
    final = (NotFound, Forbidden, Conflict, Invalid)
    passing = (RateLimited, Unavailable, TimedOut, Unauthorized)

    assert all(issubclass(kind, Permanent) for kind in final)
    assert all(issubclass(kind, Temporary) for kind in passing)
    assert {kind("away").peer for kind in passing} == {"gitlab"}


def test_the_reason_is_gitlabs_whatever_its_shape():
    assert str(refused(409, {"message": ["Another one: !59"]})) == (
        'GitLab answered 409: ["Another one: !59"]'
    )
    assert str(refused(400, {"message": {"title": ["is long"]}})) == (
        'GitLab answered 400: {"title": ["is long"]}'
    )
    assert str(refused(400, {"error": "id is invalid"})) == "GitLab answered 400: id is invalid"


def test_an_operator_reads_which_token_was_refused():
    error = refused(401, {"error": "invalid_token", "error_description": "Token is expired."})

    assert str(error) == "GitLab refused the token of A_TOKEN: invalid_token Token is expired."
    assert error.delay == 60


def test_sr_37_an_answer_that_repeats_the_token_does_not_show_it():
    assert SERVER.token not in str(refused(400, {"message": [f"bad {SERVER.token}"]}))
    assert SERVER.token not in str(refused(401, {"message": SERVER.token}))
    assert SERVER.token not in repr(SERVER)


@pytest.mark.parametrize(
    ("headers", "delay"),
    [
        ({}, 60),
        ({"retry-after": "17"}, 17),
        ({"retry-after": "0"}, 1),
        ({"retry-after": "99999"}, 300),
        ({"retry-after": "Tue, 14 Nov 2023 22:14:00 GMT"}, 40),
        ({"retry-after": "Tue, 14 Nov 2000 22:14:00 GMT"}, 1),
        ({"retry-after": "soon"}, 60),
        ({"retry-after": "-5"}, 60),
        ({"retry-after": "²"}, 60),
        ({"ratelimit-reset": "1700000030"}, 30),
        ({"ratelimit-reset": "1600000000"}, 1),
        ({"retry-after": "soon", "ratelimit-reset": "1700000030"}, 30),
        ({"retry-after": "9", "ratelimit-reset": "1700000030"}, 9),
    ],
)
def test_the_wait_after_too_many_requests(headers, delay):
    assert rate_limit_delay(headers, NOW) == delay


def test_a_busy_server_may_say_how_long():
    assert refused(503, b"", {"retry-after": "120"}).delay == 120
    assert refused(503, b"").delay == 15


@pytest.mark.parametrize(
    ("error", "kind", "maybe_done"),
    [
        (requests.ConnectTimeout(), TimedOut, False),
        (requests.ReadTimeout(), TimedOut, True),
        (requests.exceptions.SSLError("x"), Unavailable, False),
        (requests.ConnectionError("(Caused by NewConnectionError('refused'))"), Unavailable, False),
        (requests.ConnectionError("aborted"), Unavailable, True),
        (requests.exceptions.ChunkedEncodingError(), Unavailable, True),
        (requests.exceptions.InvalidURL("x"), Unavailable, True),
        (GitlabParsingError("x"), Unavailable, True),
        (OSError("Could not find a suitable TLS CA certificate bundle"), Unavailable, False),
        (UnicodeEncodeError("latin-1", SERVER.token, 0, 1, "x"), Unavailable, True),
        (StrangeAnswer("x"), Unavailable, True),
        (RecursionError(), Unavailable, True),
    ],
)
def test_what_the_libraries_raise_becomes_a_decision(error, kind, maybe_done):
    wrote = translated(error, write=True, server=SERVER)
    asked = translated(error, write=False, server=SERVER)

    assert (type(wrote), wrote.maybe_done) == (kind, maybe_done)
    assert (type(asked), asked.maybe_done) == (kind, False)
    assert SERVER.token not in str(wrote)


def test_a_refusal_passes_as_it_is():
    error = NotFound("gone", status=404)
    assert translated(error, write=True, server=SERVER) is error

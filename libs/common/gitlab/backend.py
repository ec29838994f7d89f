"""How python-gitlab talks HTTP here: one host, no redirects, always time-outs, typed failures.

Used by `connection`; each worker thread has its own, as a `requests.Session` is not thread-safe.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
import requests
from gitlab._backends.requests_backend import RequestsBackend, RequestsResponse
from gitlab.exceptions import GitlabError as VendorError

from libs.common.errors import cut
from libs.common.git.errors import scrub
from libs.common.gitlab.budget import Budget
from libs.common.gitlab.clone_url import same_origin
from libs.common.gitlab.errors import TOKEN_DELAY, GitLabError, TimedOut, Unavailable, refusal
from libs.common.gitlab.seen import seen
from libs.common.gitlab.server import Server


class StrangeAnswer(Exception):
    """JSON of another shape than this call gives, or no JSON at all."""


CAUGHT = (
    VendorError,
    requests.RequestException,
    OSError,
    UnicodeError,
    RecursionError,
    msgspec.ValidationError,
    StrangeAnswer,
)
"""All that comes of strange answers; `translated` knows each. Our own mistakes pass through."""


class GuardedBackend(RequestsBackend):
    """Refuses other hosts (SR-04) and redirects, and raises our errors for every refusal."""

    def __init__(
        self,
        server: Server,
        now: Callable[[], float] = time.time,
        budget: Budget | None = None,
    ) -> None:
        session = requests.Session()
        # Neither ~/.netrc nor proxies of the environment: the token goes to GITLAB_URL only.
        session.trust_env = False
        super().__init__(session)
        self._server = server
        self._now = now
        self._budget = budget

    def http_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> RequestsResponse:
        server = self._server
        if not same_origin(url, server.url):
            raise Unavailable(
                "GitLab named an address on another host, which is not called; check GITLAB_URL",
                delay=TOKEN_DELAY,
            )
        kwargs["timeout"] = (server.connect_timeout, server.read_timeout)
        with seen(method.upper(), url) as call:
            answer = super().http_request(method, url, *args, allow_redirects=False, **kwargs)
            # A streamed body is for the caller to read, piece by piece.
            call.answered(answer.status_code, b"" if kwargs.get("stream") else answer.content)
        headers = {name.lower(): value for name, value in answer.headers.items()}
        if self._budget is not None:
            self._budget.heard(answer.status_code, headers)
        if 200 <= answer.status_code < 300:
            return answer
        body, now = answer.content, self._now()
        raise refusal(answer.status_code, headers, body, server=server, now=now)


def translated(error: Exception, *, write: bool, server: Server) -> GitLabError:
    """Our error for what the libraries raised; `write` when something may have been changed."""
    if isinstance(error, GitLabError):
        if isinstance(error, Unavailable) and (error.status or 0) >= 500:
            error.maybe_done = write
        return error
    if isinstance(error, requests.ConnectTimeout):
        return TimedOut("GitLab did not take the connection in time; check GITLAB_URL")
    if isinstance(error, requests.Timeout):
        return TimedOut("GitLab did not answer in time", maybe_done=write)
    if isinstance(error, requests.exceptions.SSLError):
        text = "GitLab's certificate is not trusted, see CA_BUNDLE"
        return Unavailable(text, delay=TOKEN_DELAY)
    if isinstance(error, requests.ConnectionError):
        said = cut(scrub(_innermost(error), [server.token]), 160)
        # A connection that was never made has carried nothing.
        sent = "NewConnection" not in said and "NameResolution" not in said
        return Unavailable(f"GitLab is not reachable: {said}", maybe_done=write and sent)
    if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
        return Unavailable("GitLab was not asked: is CA_BUNDLE a file?", delay=TOKEN_DELAY)
    text = f"GitLab's answer makes no sense ({type(error).__name__}); check GITLAB_URL"
    return Unavailable(text, maybe_done=write)


def _innermost(error: Exception) -> str:
    return str(error).rpartition("(Caused by ")[2]

"""How this door talks HTTP: one host, no redirects, always time-outs, typed failures.

Used by `client` alone. Reads are tried again for a moment; a write is sent once, because one that
timed out may have been done.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx
import msgspec

from libs.common.authorities import trusting
from libs.common.errors import cut
from libs.common.git.errors import scrub
from libs.common.jira.errors import (
    TOKEN_DELAY,
    JiraError,
    TimedOut,
    Unauthorized,
    Unavailable,
    login_failed,
    refusal,
)
from libs.common.jira.server import JiraServer

USER_AGENT = "gitlab-copilot-agent"
PAUSES = (0.3, 1.0)
"""Seconds, with jitter, before a read is tried a second and a third time."""
LONGEST_PAUSE = 15.0
MOST_BYTES = 32 * 1024 * 1024
"""Of one answer; a page of a hundred long issues has a few of them."""
CONNECTIONS = 8

Params = Mapping[str, str | int | None]


class StrangeAnswer(Exception):
    """JSON of another shape than this call gives, no JSON at all, or far too much of it."""


CAUGHT = (httpx.HTTPError, OSError, UnicodeError, RecursionError, msgspec.MsgspecError)
"""All that comes of the network and strange answers; our own mistakes pass through."""


class Transport:
    """Sends requests to one Jira with one login; raises only `libs.common.jira.errors`."""

    def __init__(self, server: JiraServer, *, pauses: tuple[float, ...] = PAUSES) -> None:
        self._server = server.checked()
        self._pauses = pauses
        version = 3 if server.dialect == "cloud" else 2
        self._http = httpx.AsyncClient(
            base_url=f"{server.url.rstrip('/')}/rest/api/{version}",
            headers={
                "Authorization": server.authorization,
                "Accept": "application/json",
                "User-Agent": USER_AGENT,
            },
            timeout=httpx.Timeout(server.read_timeout, connect=server.connect_timeout),
            limits=httpx.Limits(max_connections=CONNECTIONS),
            verify=trusting(server.ca_bundle) if server.ca_bundle else True,
            follow_redirects=False,
            # Neither ~/.netrc nor proxies of the environment: the token goes to JIRA_URL only.
            trust_env=False,
            # A session of Jira's would outlive the token's.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    async def read(self, path: str, params: Params | None = None) -> Any:
        """The JSON of a GET."""
        for pause in self._pauses:
            try:
                return await self._send("GET", path, params=params)
            except (TimedOut, Unavailable) as error:
                if error.delay > LONGEST_PAUSE:
                    raise
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  # jitter
        return await self._send("GET", path, params=params)

    async def write(self, path: str, content: dict[str, Any]) -> Any:
        """The JSON of a POST, None for an empty answer; over before a cancelled caller goes on."""
        job = asyncio.ensure_future(self._send("POST", path, content=content))
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            await asyncio.wait([job])
            if not job.cancelled():
                job.exception()
            raise

    async def _send(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        content: dict[str, Any] | None = None,
    ) -> Any:
        given = {name: value for name, value in (params or {}).items() if value is not None}
        try:
            async with (
                asyncio.timeout(self._server.total_timeout),
                self._http.stream(method, path, params=given or None, json=content) as answer,
            ):
                return self._checked(answer, await _body(answer))
        except (JiraError, StrangeAnswer, *CAUGHT) as error:
            failure = translated(error, write=method != "GET", server=self._server)
        # Raised here, so that no request with its headers hangs on the error as its context.
        raise failure

    def _checked(self, answer: httpx.Response, body: bytes) -> Any:
        status, headers = answer.status_code, {k.lower(): v for k, v in answer.headers.items()}
        if not 200 <= status < 300:
            raise refusal(status, headers, body, server=self._server, now=time.time())
        if login_failed(headers):
            text = f"Jira refused the login of {self._server.token_setting}"
            raise Unauthorized(text, delay=TOKEN_DELAY, status=status)
        return msgspec.json.decode(body) if body else None


def translated(error: Exception, *, write: bool, server: JiraServer) -> JiraError:
    """Our error for what the network did; `write` when something may have been changed."""
    if isinstance(error, JiraError):
        if isinstance(error, Unavailable) and (error.status or 0) >= 500:
            error.maybe_done = write
        return error
    if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
        return TimedOut("Jira did not take the connection in time; check JIRA_URL")
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return TimedOut("Jira did not answer in time", maybe_done=write)
    said = cut(scrub(str(error), server.secrets), 160)
    if isinstance(error, httpx.ConnectError):
        if "CERTIFICATE_VERIFY_FAILED" in said:
            text = "Jira's certificate is not trusted, see CA_BUNDLE"
            return Unavailable(text, delay=TOKEN_DELAY)
        return Unavailable(f"Jira is not reachable: {said}")
    if isinstance(error, httpx.TransportError | OSError):
        text = f"Jira is not reachable: {said or type(error).__name__}"
        return Unavailable(text, maybe_done=write)
    text = f"Jira's answer makes no sense ({type(error).__name__}); check JIRA_URL"
    return Unavailable(text, maybe_done=write)


async def _body(answer: httpx.Response) -> bytes:
    body = bytearray()
    async for piece in answer.aiter_bytes():
        body += piece
        if len(body) > MOST_BYTES:
            raise StrangeAnswer("too much")
    return bytes(body)

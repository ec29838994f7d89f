"""Opens a process's connection to NATS, keeps it, and says in the log what becomes of it.

Called by each service's wiring and by `gca`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import nats.errors
import structlog
from nats.aio.client import Client

from libs.common.errors import SettingsError, cut
from libs.common.jetstream.access import OPEN, Access
from libs.common.jetstream.answers import away
from libs.common.jetstream.connection import TIMEOUT, Connection, not_allowed
from libs.common.jetstream.permissions import inbox

UNTRUSTED = "its certificate is not trusted"
_COMPLAIN_EVERY = 10.0
_FORBIDDEN = re.compile(r'(?i)permissions violation for (publish|subscription) to "([^"]+)"')
_log = structlog.get_logger(__name__)


def without_login(url: str) -> str:
    """The url as it may be logged: no user, password or token (SR-37)."""
    return ",".join(_plain(part.strip()) for part in url.split(","))


def _plain(url: str) -> str:
    # Without a scheme urlsplit would take `user:secret@host` for a path.
    parts = urlsplit(url if "://" in url else f"nats://{url}")
    return urlunsplit((parts.scheme, parts.netloc.rsplit("@", 1)[-1], "", "", ""))


class _Callbacks:
    """What the client tells about its state, as log lines and as events of the connection."""

    def __init__(self, where: str, name: str, on_closed: Callable[[], None]) -> None:
        self._name = name
        self.connection: Connection | None = None
        self.leaving = False
        self.last_error = "no answer"
        self._refused = False
        self._where = where
        self._on_closed = on_closed
        self._complained = -_COMPLAIN_EVERY

    async def error(self, error: Exception) -> None:
        forbidden = _FORBIDDEN.search(str(error))
        if forbidden:
            what, subject = forbidden.groups()
            if self.connection is not None:
                subject = self.connection.forbidden(subject)
            _log.error(not_allowed(self._name, what, subject), peer="nats")
            return
        refused = isinstance(error, nats.errors.AuthorizationError) or "uthorization" in str(error)
        # The server hangs up after a refusal, and the hang-up must not hide the reason.
        if refused or not self._refused:
            self.last_error = _words(error)
        self._refused = self._refused or refused
        if time.monotonic() - self._complained < _COMPLAIN_EVERY and not _is_news(error):
            return
        self._complained = time.monotonic()
        if refused:
            text = f"NATS at {self._where} refuses our credentials (NATS_URL, NATS_CREDENTIALS)"
        elif _is_news(error):
            text = f"NATS at {self._where} reports: {self.last_error}"
        else:
            text = f"NATS at {self._where} is not reachable: {self.last_error} (NATS_URL)"
        _log.warning(text, peer="nats")

    async def disconnected(self) -> None:
        if not self.leaving:
            _log.warning("disconnected from NATS, trying again until it is back", url=self._where)

    async def reconnected(self) -> None:
        _log.info("reconnected to NATS", url=self._where)
        self._complained = -_COMPLAIN_EVERY
        self._refused = False
        if self.connection is None:
            return
        self.connection.reconnected()
        problem = _unfit(self.connection, self._where)
        if problem is not None:
            _log.error(problem, peer="nats")
            self._on_closed()

    async def closed(self) -> None:
        if self.leaving or self.connection is None:
            return
        _log.error(
            "the connection to NATS is closed for good", url=self._where, error=self.last_error
        )
        self._on_closed()


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{UNTRUSTED}, see CA_BUNDLE: {cut(error.verify_message)}"
    return cut(str(error)) or type(error).__name__


def _is_news(error: Exception) -> bool:
    """Not about reaching the server: permissions and slow consumers show up only here."""
    return isinstance(error, nats.errors.SlowConsumerError) or "ermissions" in str(error)


@contextlib.asynccontextmanager
async def connected(
    url: str,
    *,
    name: str,
    on_closed: Callable[[], None],
    access: Access = OPEN,
    patience: float | None = 60.0,
    answer_within: float = TIMEOUT,
) -> AsyncIterator[Connection]:
    """A connection for the life of a process; raises `Temporary` after `patience` seconds.

    Later, each request has `answer_within` seconds. `SettingsError` when a file of `access` cannot
    be read as what it is, for a server too old, and for one without TLS at a `tls://` address.

    `on_closed` is called when the client has closed for good (nats-py does that on most errors
    the server sends), or is back at a server that will not do: the process must end then, so that
    it is started anew.
    """
    where = without_login(url)
    login = await asyncio.to_thread(access.options)
    callbacks = _Callbacks(where, name, on_closed)
    client = Client()
    try:
        async with asyncio.timeout(patience):
            await client.connect(servers=url.split(","), **(_options(name, callbacks) | login))
    except (TimeoutError, OSError, nats.errors.Error) as error:
        await _leave(client, callbacks)
        reason = f"NATS at {where} is not reachable: {callbacks.last_error} (NATS_URL)"
        raise away(reason) from error
    except BaseException:
        await _leave(client, callbacks)
        raise
    connection = Connection(client, name, answer_within)
    problem = _unfit(connection, where)
    if problem is not None:
        await _leave(client, callbacks)
        raise SettingsError([problem])
    callbacks.connection = connection
    _log.info("connected to NATS", url=where, name=name)
    try:
        yield connection
    finally:
        with contextlib.suppress(Exception):
            if client.is_connected:
                await client.flush(timeout=2)
        await _leave(client, callbacks)


def _unfit(connection: Connection, where: str) -> str | None:
    """Why this server will not do, and what to do about it."""
    if connection.too_old is not None:
        return f"NATS_URL: {connection.too_old}: upgrade the one at {where}, or name another"
    if connection.lacks_tls:
        return (
            f"NATS_URL: {where} asks for TLS and the server there speaks none: turn its TLS on, "
            "or write nats:// where nobody can listen"
        )
    return None


def _options(name: str, callbacks: _Callbacks) -> dict[str, Any]:
    return {
        "name": name,
        "inbox_prefix": inbox(name),
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": 0.5,
        "connect_timeout": 5,
        "ping_interval": 20,
        "max_outstanding_pings": 2,
        "pending_size": 0,
        "error_cb": callbacks.error,
        "disconnected_cb": callbacks.disconnected,
        "reconnected_cb": callbacks.reconnected,
        "closed_cb": callbacks.closed,
    }


async def _leave(client: Client, callbacks: _Callbacks) -> None:
    callbacks.leaving = True
    with contextlib.suppress(Exception):
        await client.close()

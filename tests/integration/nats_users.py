"""A real nats-server with the users of the chart: nkeys, and the permissions of the product.

Beside them stands `admin`, who may do everything, for what the tests themselves do. `violations`
is what the server has written down of refusals; it is the judge, not what clients noticed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from libs.common.jetstream import permissions
from libs.common.jetstream.access import Access
from libs.common.jetstream.apply import apply
from libs.common.jetstream.connecting import connected
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.credentials import Keys, new_user
from libs.common.jetstream.server import NatsServer
from libs.common.jetstream.topology import Topology
from tests.fixtures.nats import never_closed
from tests.fixtures.ports import free_port

ADMIN = "admin"
_VIOLATION = re.compile(r'nkey:(U\w+)" - (Publish|Subscription) Violation - Subject "([^"]*)"')


class Violation(NamedTuple):
    """A refusal; `what` is `Publish` or `Subscription`."""

    user: str
    what: str
    subject: str


class RestrictedServer(NatsServer):
    """Its users are those of `allowed`, by nkey; each has a file with its seed."""

    def __init__(self, store: Path, allowed: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(store, port=free_port())
        self._allowed = allowed
        self._keys: dict[str, Keys] = {name: new_user() for name in (*allowed, ADMIN)}
        for name, keys in self._keys.items():
            self.seed(name).write_text(f"{keys.seed}\n")

    def configuration(self) -> str:
        options = json.loads(super().configuration())
        return json.dumps(options | {"authorization": {"users": self.users()}})

    def allow(self, allowed: Mapping[str, Mapping[str, Any]]) -> None:
        """Other permissions for the same users, from the next start on."""
        self._allowed = allowed

    def seed(self, name: str) -> Path:
        return self.store / f"{name}.nk"

    def users(self) -> list[dict[str, Any]]:
        found = [{"nkey": self._keys[n].public, "permissions": p} for n, p in self._allowed.items()]
        return [*found, {"nkey": self._keys[ADMIN].public}]

    def violations(self) -> list[Violation]:
        """All until now; those of a connection are there once it was flushed."""
        text = (self.store / "nats-server.log").read_text()
        names = {keys.public: name for name, keys in self._keys.items()}
        return [Violation(names[key], *rest) for key, *rest in _VIOLATION.findall(text)]

    def connect(
        self, name: str, client: str = "", **options: Any
    ) -> contextlib.AbstractAsyncContextManager[Connection]:
        return connected(
            self.url,
            name=client or name,
            on_closed=never_closed,
            access=Access(self.seed(name)),
            **options,
        )


@contextlib.asynccontextmanager
async def restricted_server(
    folder: Path, wanted: Topology | None
) -> AsyncIterator[RestrictedServer]:
    """With this topology, if any, applied by the user `topology`."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    server = RestrictedServer(folder, permissions.document())
    await server.start()
    try:
        if wanted is not None:
            async with server.connect("topology", "gca-topology") as connection:
                await apply(connection, wanted, replicas=1)
        yield server
    finally:
        await server.stop()

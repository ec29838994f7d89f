"""A process that works under a lease and writes down each effect, to be paused and killed.

python -m tests.integration.lease_holder <nats url> <name> <ttl> <file>
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from libs.common.clock import SystemClock
from libs.common.errors import Temporary
from libs.common.jetstream.connecting import connected
from libs.common.jetstream.kv import JetStreamKeyValue
from libs.common.jetstream.leases import Lease, Leases
from libs.common.jetstream.topology import LOCKS

KEY = "publish.42.7"


async def hold(url: str, name: str, ttl: int, file: Path) -> None:
    async with connected(url, name=name, on_closed=lambda: sys.exit(3)) as connection:
        leases = Leases(JetStreamKeyValue(connection, LOCKS), SystemClock())
        try:
            async with leases.held(KEY, ttl=ttl, wait=60) as lease:
                await _work(lease, name, file)
        except Temporary:
            _write(file, f"{name} lost")


async def _work(lease: Lease, name: str, file: Path) -> None:
    while True:
        lease.check()
        _write(file, f"{name} effect")
        await asyncio.sleep(0.02)


def _write(file: Path, line: str) -> None:
    with file.open("a") as out:
        out.write(f"{line}\n")


if __name__ == "__main__":
    asyncio.run(hold(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])))

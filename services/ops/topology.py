"""`gca topology apply|diff`: make NATS hold the streams, buckets and consumers we declare."""

from __future__ import annotations

import sys

from libs.common.jetstream.apply import apply, diff
from libs.common.jetstream.connection import connected
from libs.common.jetstream.topology import topology
from services.ops.settings import nats_url


async def run(action: str, replicas: int) -> int:
    """0 when all is as declared; `diff` answers 1 when something is not."""
    async with connected(nats_url(), name="gca", on_closed=lambda: None, patience=20) as connection:
        work = apply if action == "apply" else diff
        changes = await work(connection, topology(), replicas=replicas)
    for change in changes:
        sys.stdout.write(f"{change}\n")
    if not changes:
        sys.stdout.write("the topology is as declared\n")
    return 1 if changes and action == "diff" else 0

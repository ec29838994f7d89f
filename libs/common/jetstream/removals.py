"""Tells when a key of a bucket is deleted; a hint that may be missed, for who looks again anyway.

Used by reconcilers that wait for a slot. Keys that run out by their ttl are not told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from libs.common.jetstream.connection import Connection


async def on_removal(
    connection: Connection, bucket: str, keys: str, call: Callable[[], None]
) -> None:
    """Call whenever one of `keys` (a pattern) is deleted, until the connection closes.

    Writes to a bucket are messages like any others, so no consumer is needed.
    """

    async def heard(message: Any) -> None:
        if "KV-Operation" in (message.headers or {}):
            call()

    await connection.subscribe(f"$KV.{bucket}.{keys}", heard)

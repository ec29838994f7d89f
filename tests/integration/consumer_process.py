"""A service whose handler dies on every event it is handed; run as a process by a test.

Arguments: address of NATS, name of the durable, file to which each event in hand is written.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from libs.common.clock import SystemClock
from libs.common.events.envelope import Recorded
from libs.common.jetstream.connecting import connected
from libs.common.jetstream.consumer import Consumer
from libs.common.jetstream.dead_letters import DeadLetters


async def main(url: str, durable: str, seen: Path) -> None:
    async def deadly(event: Recorded) -> None:
        with seen.open("a", encoding="utf-8") as out:
            out.write(f"{event.seq}\n")
        os.kill(os.getpid(), signal.SIGKILL)

    async with connected(url, name="deadly", on_closed=lambda: None) as connection:
        consumer = Consumer(
            connection,
            durable=durable,
            handler=deadly,
            dead=DeadLetters(connection),
            clock=SystemClock(),
        )
        await consumer.run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))

"""The yardstick of the intake: aiohttp and JetStream with nothing between them.

`python -m bench.bare --nats URL --run NAME --count N`: answers each POST with 202 once JetStream
has acknowledged the event that the hook of the same number means, made beforehand. No settings, no
authentication, no parsing, no counting, no log. Prints its port.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys

import nats
from aiohttp import web

from bench.hooks import Hooks


async def serve(url: str, run: str, count: int) -> None:
    hooks = Hooks(run)
    events = [hooks.event(number) for number in range(count)][::-1]
    # Made beforehand, so looking through them again and again would be no part of its work.
    gc.freeze()
    client = await nats.connect(url)
    jetstream = client.jetstream()

    async def post(request: web.Request) -> web.Response:
        await request.read()
        subject, body, headers = events.pop()
        await jetstream.publish(subject, body, headers=headers)
        return web.json_response({"status": "accepted"}, status=202)

    app = web.Application()
    app.router.add_post("/webhook", post)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.bare")
    parser.add_argument("--nats", required=True)
    parser.add_argument("--run", required=True)
    parser.add_argument("--count", type=int, required=True)
    given = parser.parse_args()
    asyncio.run(serve(given.nats, given.run, given.count))


if __name__ == "__main__":
    main()

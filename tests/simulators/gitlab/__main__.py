"""`python -m tests.simulators.gitlab --port 0 --folder DIR [--demo]`: the simulator as a process.

Prints one JSON line with its url and pid when it is ready; SIGTERM or SIGINT end it. Reads
SIM_WEBHOOK_URL, SIM_WEBHOOK_SECRET, SIM_READ_TOKEN and SIM_WRITE_TOKEN. A second start on the
same folder begins fresh: the repositories in it are removed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from .demo import create_demo
from .simulator import SimulatedGitLab


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulators.gitlab")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--demo", action="store_true", help="create the demo project")
    return parser.parse_args()


async def _run(arguments: argparse.Namespace) -> None:
    gitlab = SimulatedGitLab(arguments.folder)
    environment = os.environ
    gitlab.use_tokens(
        read=environment.get("SIM_READ_TOKEN"), write=environment.get("SIM_WRITE_TOKEN")
    )
    gitlab.set_webhook(
        url=environment.get("SIM_WEBHOOK_URL") or None,
        secret=environment.get("SIM_WEBHOOK_SECRET") or None,
    )
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await gitlab.start(host=arguments.host, port=arguments.port)
    try:
        if arguments.demo:
            create_demo(gitlab)
        sys.stdout.write(json.dumps({"url": gitlab.url, "pid": os.getpid()}) + "\n")
        sys.stdout.flush()
        await stopped.wait()
    finally:
        await gitlab.stop()


if __name__ == "__main__":
    asyncio.run(_run(_arguments()))

"""`python -m tests.simulators.jira --port 0 [--data-center] [--demo]`: the simulator as a process.

Prints one JSON line with its url and pid when it is ready; SIGTERM or SIGINT end it. Reads
SIM_JIRA_EMAIL, SIM_JIRA_API_TOKEN and SIM_JIRA_BEARER_TOKEN, the login it is to accept.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys

from .simulator import SimulatedJira


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulators.jira")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--data-center", action="store_true", help="REST v2 with bearer tokens")
    parser.add_argument("--demo", action="store_true", help="create the demo project and issue")
    return parser.parse_args()


async def _run(arguments: argparse.Namespace) -> None:
    jira = SimulatedJira(data_center=arguments.data_center)
    jira.use_login(
        email=os.environ.get("SIM_JIRA_EMAIL"),
        token=os.environ.get("SIM_JIRA_API_TOKEN"),
        bearer=os.environ.get("SIM_JIRA_BEARER_TOKEN"),
    )
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await jira.start(host=arguments.host, port=arguments.port)
    try:
        if arguments.demo:
            jira.open_demo()
        sys.stdout.write(json.dumps({"url": jira.url, "pid": os.getpid()}) + "\n")
        sys.stdout.flush()
        await stopped.wait()
    finally:
        await jira.stop()


if __name__ == "__main__":
    asyncio.run(_run(_arguments()))

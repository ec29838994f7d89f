"""The simulated model as a process: `python -m tests.simulators.model --port 0`.

`SIM_MODEL_KEY` is the key that it asks for (a random one otherwise), `SIM_MODEL_MODE` the behaviour
(modes.py). Prints one line of JSON when it is ready; ends on SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal

from tests.simulators.model.modes import DEFAULT_MODE
from tests.simulators.model.server import running_model


async def serve(port: int) -> None:
    given = os.environ.get("SIM_MODEL_KEY") or None
    mode = os.environ.get("SIM_MODEL_MODE") or DEFAULT_MODE
    mode = mode if mode.startswith("sim-") else f"sim-{mode}"
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running_model(api_key=given, mode=mode, port=port) as model:
        ready: dict[str, object] = {"url": model.url, "pid": os.getpid()}
        if given is None:
            ready["api_key"] = model.api_key
        print(json.dumps(ready), flush=True)  # noqa: T201  # the ready line is the interface
        await stop.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve the simulated model on loopback.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    asyncio.run(serve(parser.parse_args().port))

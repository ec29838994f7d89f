"""GitLab, Jira and the model for a cluster, in one process: `python peers.py`.

Each listens twice: by TLS for the system, as a company's own servers with their own authority, and
plainly on the pod's loopback address for `kubectl port-forward`. Commands to the simulators
(`/-/sim/`) are taken on loopback only, so no other pod can give any. Reads the SIM_ variables
below, and `tls.crt` and `tls.key` from SIM_TLS_DIR.
"""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
from pathlib import Path

from aiohttp import web
from scripted_model import ScriptedModel

from tests.simulators.gitlab.demo import create_demo
from tests.simulators.gitlab.simulator import SimulatedGitLab
from tests.simulators.jira.simulator import SimulatedJira

TLS_PORTS = {"gitlab": 8443, "jira": 8444, "model": 8445}
PLAIN_PORTS = {"gitlab": 8080, "jira": 8081, "model": 8082}
LOOPBACK = "127.0.0.1"


async def gitlab(public: str) -> web.AppRunner:
    """The server with the demo project, known to everybody by its TLS address."""
    server = SimulatedGitLab(Path(os.environ.get("SIM_FOLDER", "/tmp/gitlab")))
    server.use_tokens(read=os.environ["SIM_READ_TOKEN"], write=os.environ["SIM_WRITE_TOKEN"])
    server.set_webhook(
        url=os.environ.get("SIM_WEBHOOK_URL") or None,
        secret=os.environ.get("SIM_WEBHOOK_SECRET") or None,
    )
    await server.start(host=LOOPBACK, port=PLAIN_PORTS["gitlab"])
    server.world.url = f"{public}:{TLS_PORTS['gitlab']}"
    create_demo(server)
    return _runner(server)


async def jira(public: str) -> web.AppRunner:
    """The server with the demo issue, and the project PROJ for tests."""
    server = SimulatedJira()
    server.use_login(email=os.environ["SIM_JIRA_EMAIL"], token=os.environ["SIM_JIRA_API_TOKEN"])
    await server.start(host=LOOPBACK, port=PLAIN_PORTS["jira"])
    server.world.url = f"{public}:{TLS_PORTS['jira']}"
    server.open_demo()
    server.create_project("PROJ")
    return _runner(server)


async def model() -> web.AppRunner:
    application = ScriptedModel(os.environ["SIM_MODEL_KEY"]).application()
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, PLAIN_PORTS["model"]).start()
    return runner


def _runner(server: SimulatedGitLab | SimulatedJira) -> web.AppRunner:
    assert server._runner is not None  # for a second address of the same server
    return server._runner


async def main() -> None:
    """All of them until SIGTERM."""
    public, folder = os.environ["SIM_PUBLIC_URL"], Path(os.environ["SIM_TLS_DIR"])
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    runners = {"gitlab": await gitlab(public), "jira": await jira(public), "model": await model()}
    for name, runner in runners.items():
        await web.TCPSite(runner, port=TLS_PORTS[name], ssl_context=tls).start()
    await stopped.wait()
    for runner in runners.values():
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())

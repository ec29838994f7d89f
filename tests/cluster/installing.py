"""Installs simulators and stack into a namespace, and opens the ways that stories need."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from libs.common.jetstream.access import Access
from libs.common.jetstream.connecting import connected
from libs.common.jetstream.connection import Connection
from tests.cluster import logins
from tests.cluster.helm import CHARTS, SIMULATORS, Helm
from tests.cluster.installed import RELEASE, Installed, Seen, merged
from tests.cluster.kubectl import Kubectl
from tests.cluster.people import GitLab, Jira, Peer
from tests.e2e.coding import BUDGETS

RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"
"""The API server itself refuses what is not as strict as SR-21 asks for."""
PARTS = ("nats", "topology", "ingest", "reviewer", "coder", "publisher")
PORTS = {"gitlab": 8080, "jira": 8081, "model": 8082}


@contextlib.asynccontextmanager
async def namespace(kubectl: Kubectl, name: str) -> AsyncIterator[Kubectl]:
    """A new namespace; with it goes all that is in it, a little later."""
    await kubectl("create", "namespace", name)
    try:
        await kubectl("label", "namespace", name, RESTRICTED)
        yield kubectl.of(name)
    finally:
        await kubectl("delete", "namespace", name, "--wait=false")


async def in_one_release(helm: Helm, values: dict[str, Any]) -> None:
    await helm.install(RELEASE, CHARTS / "stack", values)


async def one_by_one(helm: Helm, values: dict[str, Any]) -> None:
    """A release for each part; values are those of the stack, each chart takes its own of them."""
    for file in reversed(helm.files):
        values = merged(yaml.safe_load(file.read_text()), values)
    for part in PARTS:
        own = {"global": values["global"]} | values.get(part, {})
        await helm.with_files().install(f"{RELEASE}-{part}", CHARTS / part, own)


@contextlib.asynccontextmanager
async def installed(
    kubectl: Kubectl,
    helm: Helm,
    images: dict[str, Any],
    folder: Path,
    install: Callable[[Helm, dict[str, Any]], Awaitable[None]] = in_one_release,
) -> AsyncIterator[Installed]:
    """The whole system, ready to work; `images` are values that name its images."""
    made = await asyncio.to_thread(logins.made, folder / "logins")
    nats = folder / "logins" / logins.NATS
    await kubectl("apply", "-f", str(nats / "secrets.yaml"))
    await helm.install("simulators", SIMULATORS, made | images["simulators"])
    values = merged(images["stack"], {"global": {"settings": BUDGETS}})
    helm = helm.with_files(SIMULATORS / "stack.yaml", nats / "users.yaml")
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        )
        ways = {
            name: await stack.enter_async_context(
                kubectl.forward("deployment/gca-simulators", port)
            )
            for name, port in PORTS.items()
        }
        await install(helm, values)
        connection = await stack.enter_async_context(log_of(kubectl, folder))
        yield Installed(
            folder=folder,
            gitlab=GitLab(http, ways["gitlab"], made["logins"]["gitlabRead"]),
            jira=Jira(http, ways["jira"]),
            model=Peer(http, ways["model"]),
            connection=connection,
            services={},
            launcher=None,
            screen=Seen(),
            kubectl=kubectl,
            helm=helm,
            values=values,
            logins=made["logins"],
        )


@contextlib.asynccontextmanager
async def log_of(kubectl: Kubectl, folder: Path) -> AsyncIterator[Connection]:
    """A connection to NATS as an operator has it, through a forwarded port."""
    secret = await kubectl.one("secret", "gca-nats-ops")
    seed = folder / "ops.nk"
    seed.touch(mode=0o600)
    seed.write_bytes(base64.b64decode(secret["data"]["nats.nk"]))
    async with (
        kubectl.forward("service/gca-nats", 4222) as port,
        connected(
            f"nats://127.0.0.1:{port}", name="gca", on_closed=lambda: None, access=Access(seed)
        ) as connection,
    ):
        yield connection

"""Imports `kubernetes_asyncio` and logs in: with the pod's account, or by KUBECONFIG.

Used by `client`.
The library takes a second and 80 MB, so it is imported at the first call only, in a thread, and a
service whose Jobs are local never pays for it.
"""

from __future__ import annotations

import asyncio
import importlib
import os
from pathlib import Path
from typing import Any

import aiohttp

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""What Kubernetes mounts into a pod: token, certificate authority and namespace."""
READ_BUFFER = 2**21
"""A line of a watch is a whole object, up to the 1.5 MB that a cluster takes."""


class Apis:
    """The library's own clients of Jobs and of pods, over one session."""

    def __init__(self, library: Any, client: Any) -> None:
        self._client = client
        self.jobs: Any = library.client.BatchV1Api(client)
        self.pods: Any = library.client.CoreV1Api(client)

    async def close(self) -> None:
        await self._client.close()


def own_namespace() -> str:
    """The namespace of the pod that this process is in; empty outside of one."""
    try:
        return (ACCOUNT / "namespace").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


async def connect(kubeconfig: str | None) -> Apis:
    """Raises the library's ConfigException, OSError or what its parser raises."""
    library: Any = await asyncio.to_thread(importlib.import_module, "kubernetes_asyncio")
    # Configuration() would share one default among all clients.
    configuration = type.__call__(library.client.Configuration)
    in_cluster = kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ
    if in_cluster:
        # Its hook reads the token file again each minute: the cluster replaces it every hour.
        library.config.load_incluster_config(client_configuration=configuration)
    else:
        await library.config.load_kube_config(
            config_file=kubeconfig, client_configuration=configuration
        )
    # Chain and host name are checked all the same: Python 3.13 on refuses authorities without the
    # extensions that RFC 5280 asks for, as some clusters have them.
    configuration.disable_strict_ssl_verification = True
    client = library.client.ApiClient(configuration=configuration)
    client.user_agent = "gitlab-copilot-agent"
    if in_cluster:
        _without_proxy(client.rest_client)
    return Apis(library, client)


def _without_proxy(rest: Any) -> None:
    """The API server is next door; a proxy in the environment is for the model."""
    session = rest.pool_manager
    rest.pool_manager = aiohttp.ClientSession(connector=session.connector, read_bufsize=READ_BUFFER)
    session.detach()

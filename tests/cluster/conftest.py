"""A cluster with the system in it, once for all stories; collected only when asked for by name.

`make test` has no cluster: this folder takes part in a run only when the command line names it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.cluster import clusters, diagnostics
from tests.cluster.helm import Helm
from tests.cluster.installed import Installed
from tests.cluster.installing import installed, namespace
from tests.cluster.kubectl import Kubectl
from tests.cluster.machine.places import CLUSTER
from tests.cluster.tools import found, missing

FAILURES = CLUSTER / "failures"
SECONDS = 900
"""For one story with its waits; a first one installs everything."""
KUBECTL = pytest.StashKey[Kubectl]()
LAST = "test_bad_node.py"
"""Silences the only node for minutes; all others have been told by then."""


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    asked = any("cluster" in Path(given).parts for given in config.invocation_params.args)
    return None if asked else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SECONDS))
    items.sort(key=lambda item: item.path.name == LAST)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Of each failure, keep what the cluster says at that moment."""
    report = (yield).get_result()
    kubectl = item.config.stash.get(KUBECTL, None)
    if report.failed and kubectl is not None:
        folder = diagnostics.place(FAILURES, item.nodeid)
        # The session's event loop belongs to pytest-asyncio; this one has a thread of its own.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, diagnostics.gather(kubectl, folder)).result()
        report.sections.append(("cluster", f"pods, events and logs: {folder}"))


@pytest.fixture(scope="session")
def kubectl() -> Kubectl:
    """kubectl of the cluster; fails with what to type when there is none."""
    binary = found("kubectl")
    if binary is None:
        pytest.fail(missing("kubectl"), pytrace=False)
    return Kubectl(binary, clusters.kubeconfig())


@pytest.fixture(scope="session")
def helm_binary() -> Path:
    binary = found("helm")
    if binary is None:
        pytest.fail(missing("helm"), pytrace=False)
    return binary


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def images() -> dict[str, Any]:
    """Values of the charts that name the images, once those are there."""
    return await asyncio.to_thread(clusters.images)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def system(
    pytestconfig: pytest.Config,
    kubectl: Kubectl,
    helm_binary: Path,
    images: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Installed]:
    """The stack from nothing in a namespace of its own, which is removed in the end."""
    name = f"gca-test-{secrets.token_hex(3)}"
    folder = tmp_path_factory.mktemp("installed")
    async with namespace(kubectl, name) as there:
        pytestconfig.stash[KUBECTL] = there
        helm = Helm(helm_binary, kubectl.kubeconfig, name)
        async with installed(there, helm, images, folder) as system:
            yield system


@pytest_asyncio.fixture(loop_scope="session")
async def mended(system: Installed) -> AsyncIterator[Installed]:
    """For stories that break or reconfigure something: afterwards all is as it was installed."""
    try:
        yield system
    finally:
        await system.configure({})
        await system.healthy()


@pytest_asyncio.fixture(loop_scope="session")
async def empty(kubectl: Kubectl) -> AsyncIterator[Kubectl]:
    """An empty namespace."""
    async with namespace(kubectl, f"gca-empty-{secrets.token_hex(3)}") as there:
        yield there

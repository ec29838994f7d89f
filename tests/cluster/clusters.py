"""Which cluster the tests use, and how the images get there. Used by conftest and the tests."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.images import building
from tests.cluster.machine import faults, life
from tests.cluster.machine.addresses import Addresses
from tests.cluster.machine.places import State

SERVICES = ("ingest", "reviewer", "coder", "publisher")


def kubeconfig() -> Path:
    """KUBECONFIG of the environment, else that of `make cluster`; fails with what to type."""
    given = os.environ.get("KUBECONFIG", "")
    file = Path(given.split(os.pathsep)[0]) if given else State().kubeconfig
    if not file.is_file():
        pytest.fail(
            f"there is no cluster ({file} is missing): `make cluster` starts one on this machine, "
            "or set KUBECONFIG",
            pytrace=False,
        )
    return file


def is_ours() -> bool:
    """Whether it is the cluster of `make cluster`, whose parts a test may kill."""
    return not os.environ.get("KUBECONFIG")


def outside() -> str:
    """An address of this machine that pods of our own cluster have a way to."""
    return Addresses().outside


async def hold(component: str) -> None:
    """Kill a part of our own cluster, and let it not come back until `release`."""
    await asyncio.to_thread(faults.hold, State(), [component])


async def release(component: str) -> None:
    await asyncio.to_thread(faults.release, State(), [component])


def images() -> dict[str, Any]:
    """Values that name all images, which are built and brought to our own cluster first.

    With IMAGE_TAG they are there already, or pulled from IMAGE_REGISTRY, as for other clusters.
    """
    given = os.environ.get
    if given("IMAGE_TAG") or not is_ours():
        return values(given("IMAGE_TAG", building.TAG), given("IMAGE_REGISTRY", ""))
    life.load(State(), building.ready(building.ALL))
    return values(building.TAG, policy="Never")


def values(tag: str, registry: str = "", *, policy: str = "IfNotPresent") -> dict[str, Any]:
    """Values of the simulators' chart, and of the stack."""
    one = {"tag": tag, "pullPolicy": policy}
    ours = {"image": one}
    stack: dict[str, Any] = {}
    for name in (*SERVICES, "nats", "topology"):
        stack[name] = ours | ({"job": ours} if name in ("reviewer", "coder") else {})
    return {
        "simulators": {"image": one | {"registry": registry}},
        "stack": stack | {"global": {"imageRegistry": registry}},
    }

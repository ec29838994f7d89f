"""Parts of the node that end, on the cluster of `make cluster`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.cluster.machine import faults
from tests.cluster.machine.needs import Lacking
from tests.cluster.machine.node_process import NodeProcess
from tests.cluster.machine.places import State

NAME = "kube-scheduler"
STATE = State()
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(NodeProcess.of(STATE) is None, reason="`make cluster` runs no cluster here"),
]


def running() -> int | None:
    node = NodeProcess.of(STATE)
    assert node is not None
    return node.components(STATE)[NAME]


async def until(wanted: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not wanted():  # noqa: ASYNC110  # processes of others send no event
            await asyncio.sleep(0.1)


async def test_a_component_that_is_killed_is_started_again() -> None:
    before = running()
    faults.kill(STATE, [NAME])

    await until(lambda: running() not in {None, before})


async def test_a_component_that_is_held_stays_away_until_it_is_released() -> None:
    faults.hold(STATE, [NAME])
    try:
        await until(lambda: running() is None)
    finally:
        faults.release(STATE, [NAME])

    await until(lambda: running() is not None)


def test_a_name_that_is_none_of_the_node_s_is_refused_with_those_that_are() -> None:
    with pytest.raises(Lacking, match="nonsense is none of the node's: etcd, containerd"):
        faults.hold(STATE, ["nonsense"])

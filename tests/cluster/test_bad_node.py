"""A node that goes silent under a Job; the whole cluster is one node, so this story comes last.

What the cluster does with it is the node's lifecycle as Kubernetes documents it (concepts, nodes;
taint-based evictions): the pod is to go, and nobody on the node ends it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest

from libs.common.launching.protocol import job_name
from tests.cluster import clusters
from tests.cluster.installed import PATIENCE, STORY, Installed, is_running

pytestmark = [*STORY, pytest.mark.timeout(1500)]
SILENCE = 240.0
"""Seconds until a Job was made anew: silent node 20, its pods' patience 60, ours 35, and a pass.

The other pods stay for 300, and come through."""


@pytest.mark.skipif(not clusters.is_ours(), reason="silences the node of `make cluster` only")
async def test_a_job_whose_node_is_gone_is_made_anew_and_answers_once(system):
    mr = await system.gitlab.draft()
    note = await system.gitlab.comment(mr, "/copilot SCRIPT: pause 200 and add a note")
    task_id = await system.task_of(mr)
    await system.pod_of(task_id, is_running)
    name = job_name("coding", task_id)
    before = await uid_of(system, name)

    async def made_anew() -> bool:
        return await uid_of(system, name) not in {"", before}

    async with silent_node(system):
        # kubectl's logs and forwards go by the node: until it is back, only the API is asked.
        await system.kubectl.until(made_anew, f"{name} to be made anew", seconds=SILENCE, pause=2)

    record, _ = await system.answer(mr, note, seconds=2 * PATIENCE)
    assert "posted" == record.outcome
    assert 1 == len(await system.gitlab.commits(mr))
    assert "its pod is lost: node" in await system.kubectl.logs("coder")


@contextlib.asynccontextmanager
async def silent_node(system: Installed) -> AsyncIterator[None]:
    await clusters.hold("kubelet")
    try:
        yield
    finally:
        await clusters.release("kubelet")
        nodes = ("wait", "node", "--all", "--for=condition=Ready", "--timeout=120s")
        await system.kubectl(*nodes, seconds=130)
        await system.healthy()


async def uid_of(system: Installed, name: str) -> str:
    """Of the Job of this name; empty between two of them."""
    found = await system.kubectl.attempt("get", "job", name, "-o", "jsonpath={.metadata.uid}")
    return found.said.strip() if found.code == 0 else ""

"""A release is upgraded, rolled back and asked by helm; its tasks end as if nothing had been."""

from __future__ import annotations

import pytest

from tests.cluster.installed import PATIENCE, RELEASE, SERVICES, STORY, is_running
from tests.cluster.tools import succeed

pytestmark = [*STORY, pytest.mark.timeout(1200)]


@pytest.mark.parametrize("service", ["reviewer", "coder", "ingest", "publisher"])
async def test_an_upgrade_of_one_service_while_tasks_run_loses_nothing(mended, service):
    system = mended
    before = await uids(system)
    review = await system.gitlab.opened(title="SCRIPT: pause 25")
    asked = await system.gitlab.draft()
    note = await system.gitlab.comment(asked, "/copilot SCRIPT: pause 25 and add a note")
    pods = [await system.pod_of(await system.task_of(one), is_running) for one in (review, asked)]

    await system.configure({service: {"podAnnotations": {"test/upgraded": "yes"}}})
    after = await uids(system)
    record = await system.review_of(review, seconds=PATIENCE)
    await system.answer(asked, note)

    assert {service} == {name for name in SERVICES if before[name] != after[name]}
    assert "posted" == record.outcome
    assert 1 == len(await system.gitlab.commits(asked))
    ran = {pod["metadata"]["annotations"]["gca/task-id"] for pod in pods}
    assert ran == {record.task_id, await system.task_of(asked)}
    assert 1 == len(await system.requested(review))


async def test_a_release_is_rolled_back_as_typed(mended):
    system = mended
    await system.configure({"reviewer": {"podAnnotations": {"test/upgraded": "wrongly"}}})
    upgraded = await uids(system)

    where = (f"--kubeconfig={system.helm.kubeconfig}", f"--namespace={system.helm.namespace}")
    await succeed(system.helm.binary, "rollback", RELEASE, "--wait", *where, seconds=300)

    assert upgraded["reviewer"] != (await uids(system))["reviewer"]
    await system.review_of(await system.gitlab.opened(), seconds=PATIENCE)


async def test_helm_test_asks_every_service_whether_it_can_work(mended):
    told = await mended.helm.attempt("test", RELEASE, "--logs", "--timeout=200s", seconds=230)

    assert 0 == told.code, told.said
    asked = {line.split()[1] for line in told.out.splitlines() if line.startswith("ok ")}
    health = {"ingest-health": 8081, "reviewer": 8082, "coder": 8083, "publisher": 8084}
    assert asked == {
        "http://gca-ingest:8000/webhook",
        *(f"http://gca-{name}:{port}/readyz" for name, port in health.items()),
    }


async def uids(system) -> dict[str, set[str]]:
    """The pods of each service."""
    return {
        name: {pod["metadata"]["uid"] for pod in await system.kubectl.pods(name)}
        for name in SERVICES
    }

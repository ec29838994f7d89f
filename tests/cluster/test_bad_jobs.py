"""Jobs that cannot end well: the person hears the right sentence, the operator what helps."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.installed import STORY, Installed

pytestmark = [*STORY, pytest.mark.timeout(1200)]
LONG = 420.0
"""A Job that fails at its start is launched three times, half a minute apart."""


async def detail_of(system: Installed, mr: Any, outcome: str = "failed") -> tuple[str, str]:
    """Ask something; what the person is told, and what the log says of it."""
    note = await system.gitlab.comment(mr, "/copilot ask what does price return?")
    _, said = await system.answer(mr, note, outcome, seconds=LONG)
    [failed] = await system.results(mr)
    return said, failed.detail


def coder(**job: Any) -> dict[str, Any]:
    """Values that change the coder's Jobs; those that cannot start are soon given up."""
    return {"coder": {"job": {"startTimeout": 10} | job}}


async def test_a_job_that_needs_more_memory_than_it_may_have_is_told(mended):
    await mended.configure(coder(memory="24Mi"))

    said, detail = await detail_of(mended, await mended.gitlab.draft())

    assert "did not start" in said or "could not" in said, said
    assert "K8S_JOB_MEMORY_LIMIT" in detail


async def test_a_command_of_a_session_that_eats_all_memory_ends_alone_or_is_told(system):
    """The kernel kills the eater; with cgroups of version 2, Kubernetes ends the whole step."""
    mr = await system.gitlab.draft()

    note = await system.gitlab.comment(mr, "/copilot SCRIPT: eat")
    record = await system.answer_to(mr, note, seconds=LONG)

    if record.outcome == "failed":
        assert "K8S_JOB_MEMORY_LIMIT" in (await system.results(mr))[0].detail
    else:
        [body] = (await system.model.seen("requests?about=SCRIPT:+eat"))[-1:]
        assert any("137" in str(one) for one in body["messages"]), "nothing was killed"


async def test_a_job_whose_image_is_missing_is_told(mended):
    nowhere = {"repository": "localhost:9/nobody-built-this", "pullPolicy": "IfNotPresent"}
    await mended.configure(coder(image=nowhere))

    said, detail = await detail_of(mended, await mended.gitlab.draft())

    assert "K8S_JOB_IMAGE cannot be pulled" in detail
    assert "nobody-built-this" not in said, "that is for operators"


async def test_a_job_past_its_deadline_is_told(mended):
    await mended.configure(coder(timeout=45))
    mr = await mended.gitlab.draft()

    note = await mended.gitlab.comment(mr, "/copilot SCRIPT: hang")
    _, said = await mended.answer(mr, note, "failed", seconds=LONG)

    [failed] = await mended.results(mr)
    assert "timeout" == failed.reason
    assert "minute" in said


async def test_an_image_that_is_no_name_is_given_up_at_once(mended):
    await mended.configure(coder(image={"repository": "Not/A/Name"}))

    _, detail = await detail_of(mended, await mended.gitlab.draft())

    assert "K8S_JOB_IMAGE is no name of an image" in detail


async def test_a_job_that_no_node_takes_waits_for_one_and_then_runs(mended):
    """Told by what the log of the service says; a node that fits ends the wait."""
    await mended.configure({"coder": {"job": {"nodeSelector": {"gca-test/agents": "yes"}}}})
    mr = await mended.gitlab.draft()
    note = await mended.gitlab.comment(mr, "/copilot ask what does price return?")
    await said_by(mended, "coder", "no node takes its pod")

    await mended.kubectl("label", "nodes", "--all", "gca-test/agents=yes")
    try:
        await mended.answer(mr, note)
    finally:
        await mended.kubectl("label", "nodes", "--all", "gca-test/agents-")


# --- the namespace says no ----------------------------------------------------------------


async def test_a_full_quota_delays_a_task_and_loses_none(system):
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "no-jobs"},
        "spec": {"hard": {"count/jobs.batch": "0"}},
    }
    await system.kubectl.apply(quota)
    mr = await system.gitlab.draft()
    try:
        note = await system.gitlab.comment(mr, "/copilot ask what does price return?")
        await said_by(system, "coder", "the quota of namespace")
    finally:
        await system.kubectl("delete", "resourcequota", "no-jobs")

    await system.answer(mr, note, seconds=LONG)


async def test_no_permission_to_create_jobs_delays_a_task_and_loses_none(mended):
    binding = await mended.kubectl.one("rolebinding", "gca-coder")
    await mended.kubectl("delete", "rolebinding", "gca-coder")
    mr = await mended.gitlab.draft()
    try:
        note = await mended.gitlab.comment(mr, "/copilot ask what does price return?")
        await said_by(mended, "coder", "Kubernetes lets us not")
    finally:
        binding["metadata"] = {
            key: binding["metadata"][key] for key in ("name", "labels", "annotations")
        }
        await mended.kubectl.apply(binding)

    await mended.answer(mr, note, seconds=LONG)


async def test_a_namespace_that_is_missing_is_named(mended):
    await mended.kubectl("set", "env", "deployment/gca-coder", "K8S_NAMESPACE=gca-nowhere")
    mr = await mended.gitlab.draft()
    note = await mended.gitlab.comment(mr, "/copilot ask what does price return?")
    await said_by(mended, "coder", "gca-nowhere")

    await mended.configure({})
    await mended.answer(mr, note, seconds=LONG)


async def test_wrong_host_aliases_stop_the_new_pod_and_leave_the_old_one_at_work(system):
    """Set by hand: as a value, helm would refuse them before."""
    name = "K8S_JOB_HOST_ALIASES"
    wrong = '[{"ip": "nowhere", "hostnames": ["gitlab"]}]'
    await system.kubectl("set", "env", "deployment/gca-coder", f"{name}={wrong}")
    try:
        await said_by(system, "coder", name, "entry 1: ip must be an IP address")
        await system.answered(await system.gitlab.draft(), "/copilot ask what does price return?")
    finally:
        # Helm leaves alone what others added.
        await system.kubectl("set", "env", "deployment/gca-coder", f"{name}-")
        await system.healthy()


async def test_helm_refuses_a_wrong_value_by_its_name(system):
    with pytest.raises(AssertionError, match="memory"):
        await system.configure({"coder": {"job": {"memory": {"much": True}}}}, wait=False)


async def said_by(system: Installed, service: str, *words: str) -> None:
    """Wait until a service's log says so."""

    async def heard() -> bool:
        names = [pod["metadata"]["name"] for pod in await system.kubectl.pods(service)]
        logs = [
            (await system.kubectl.attempt("logs", name, *earlier)).said
            for name in names
            for earlier in ((), ("--previous",))
        ]
        return all(word in "\n".join(logs) for word in words)

    await system.kubectl.until(heard, f"{service} to say {words}", seconds=120, pause=2)

"""SR-19, SR-41: what pods reach and what not, tried from the pods themselves."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.cluster import clusters
from tests.cluster.installed import STORY, Installed, is_running

pytestmark = STORY
PROBE = """
import json, socket, sys
for target in sys.argv[1:]:
    host, _, port = target.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), 4):
            said = "open"
    except OSError as error:
        said = type(error).__name__
    print(json.dumps([target, said]), flush=True)
"""
SIMULATORS = ("gca-simulators:8443", "gca-simulators:8444", "gca-simulators:8445")
HEALTH = ("gca-ingest-health:8081", "gca-reviewer:8082", "gca-coder:8083", "gca-publisher:8084")


async def reached(system: Installed, pod: str, targets: list[str], *options: str) -> set[str]:
    """Which of these addresses take a connection from there."""
    probe = ("exec", pod, *options, "--", "python", "-c", PROBE, *targets)
    answers = await system.kubectl(*probe, seconds=20 + 6 * len(targets))
    told = dict(json.loads(line) for line in answers.splitlines())
    assert set(targets) == told.keys()
    return {target for target, said in told.items() if said == "open"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def places(system: Installed) -> AsyncIterator[dict[str, str]]:
    """Addresses by name; each is open to a pod that no policy is about, or it proves nothing."""
    [nats] = await system.kubectl.pods("nats")
    api = json.loads(
        await system.kubectl("get", "endpoints", "kubernetes", "-n", "default", "-o", "json")
    )
    [subset] = api["subsets"]
    found = {
        "the API server's Service": "kubernetes.default:443",
        "the API server itself": f"{subset['addresses'][0]['ip']}:{subset['ports'][0]['port']}",
        "a NATS pod": f"{nats['status']['podIP']}:4222",
    }
    async with contextlib.AsyncExitStack() as stack:
        if clusters.is_ours():
            found["the world outside"] = await stack.enter_async_context(_outside())
        yield found


@contextlib.asynccontextmanager
async def _outside() -> AsyncIterator[str]:
    """A server on the machine, outside of the cluster's networks."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), clusters.outside(), 0)
    try:
        yield f"{clusters.outside()}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@pytest.fixture(scope="module")
def control(places: dict[str, str]) -> list[str]:
    return [one for name, one in places.items() if name != "a NATS pod"]


async def test_a_pod_that_no_policy_is_about_reaches_all_but_nats(system, places, control):
    """Without this, the tests below would show a broken network and no policy."""
    open_to_it = await reached(system, "deployment/gca-simulators", [*places.values()])

    assert set(control) == open_to_it


async def test_sr_19_a_running_session_reaches_the_door_the_model_and_gitlab_only(system, places):
    mr = await system.gitlab.draft()
    await system.gitlab.comment(mr, "/copilot SCRIPT: hang")
    pod = await system.pod_of(await system.task_of(mr), is_running)
    targets = [
        *("gca-task-door:8001", "gca-ingest:8000", "gca-nats:4222", *SIMULATORS, *HEALTH[1:]),
        *("169.254.169.254:80", "1.1.1.1:443", *places.values()),
    ]
    try:
        found = await reached(system, pod["metadata"]["name"], targets, "-c", "run")
    finally:
        await system.gitlab.close(mr)

    assert {"gca-task-door:8001", "gca-simulators:8443", "gca-simulators:8445"} == found


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("ingest", {"gca-nats:4222", "gca-simulators:8443", "gca-simulators:8444"}),
        ("publisher", {"gca-nats:4222", "gca-simulators:8443", "gca-simulators:8444"}),
        ("reviewer", {"gca-nats:4222", "gca-simulators:8443", "gca-simulators:8444", "api"}),
        ("coder", {"gca-nats:4222", "gca-simulators:8443", "gca-simulators:8444", "api"}),
    ],
)
async def test_a_service_reaches_what_it_needs(
    system: Installed, places: dict[str, str], service: str, expected: set[str]
):
    api = places["the API server itself"]
    targets = ["gca-nats:4222", *SIMULATORS, *HEALTH[1:], "169.254.169.254:80", api]

    found = await reached(system, f"deployment/gca-{service}", targets)

    wanted: set[Any] = {api if one == "api" else one for one in expected}
    assert wanted == found


async def test_sr_41_the_task_door_is_closed_to_all_but_jobs(system):
    others = ("gca-simulators", "gca-publisher", "gca-reviewer", "gca-coder")
    for name in others:
        assert set() == await reached(system, f"deployment/{name}", ["gca-task-door:8001"]), name


async def test_sr_41_the_webhook_s_service_has_no_door(system):
    service = await system.kubectl.one("service", "gca-ingest")

    assert [8000] == [port["port"] for port in service["spec"]["ports"]]

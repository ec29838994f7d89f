"""As a new operator: why a merge request has no review, from the command line alone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.operator import Operator, gca_up

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
]
APP = "team%2Fapp"
DEMO = "1001!1"
"""The merge request that `gca up` opens with its simulators."""
FILES = {"app.py": "print('hello')\n"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Operator]:
    folder = tmp_path_factory.mktemp("operator")
    async with gca_up(
        folder, GITLAB_PROJECTS="team/app,demo/shop", MAX_CONCURRENT_TASKS="1"
    ) as started:
        await started.sim("projects", {"path": "team/app", "files": FILES})
        await started.sim("projects", {"path": "team/secret", "files": FILES})
        # The stories break GitLab, and its review may need the one slot.
        await started.until(DEMO, "reviewed")
        yield started


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def healed(operator: Operator) -> AsyncIterator[None]:
    """Each story leaves GitLab well."""
    yield
    await operator.sim("faults", method="DELETE")
    await operator.sim("settings", {"prepare_delay": 0.0, "hook_before_diff": False})
    await operator.webhook(on=True)


async def test_the_webhook_was_lost(operator):
    await operator.webhook(on=False)
    mr = await operator.opened(APP, "lost")

    found = await operator.why(mr)

    assert found["code"] == "no_event"
    assert "gca doctor" in found["mend"]
    doctor = await operator.gca("doctor", "--json", "--project", "team/app")
    names = {check["name"] for check in map(json.loads, doctor.out.splitlines())}
    assert "webhook of team/app" in names


async def test_the_project_is_not_served(operator):
    mr = await operator.opened("team%2Fsecret", "secret")

    found = await operator.why(mr)

    assert found["code"] == "not_allowed"
    assert "GITLAB_PROJECTS" in found["mend"]


async def test_it_is_a_draft_and_then_ready(operator):
    mr = await operator.opened(APP, "draft", draft=True)

    found = await operator.until(mr, "draft")
    assert "mark it ready" in found["mend"]
    await operator.act(mr, "ready")
    assert "#note_" in (await operator.until(mr, "reviewed"))["text"]


async def test_it_was_closed(operator):
    await operator.sim("settings", {"prepare_delay": 3600.0})
    mr = await operator.opened(APP, "closed")
    await operator.act(mr, "close")

    assert "reopen" in (await operator.until(mr, "closed"))["mend"]


@pytest.mark.parametrize("early", [True, False])
async def test_gitlab_has_not_made_the_diff_yet(operator, early):
    await operator.sim("settings", {"prepare_delay": 3600.0, "hook_before_diff": early})
    mr = await operator.opened(APP, f"slow-{early}")

    found = await operator.until(mr, "gitlab_not_ready")

    assert "GitLab has not made" in found["text"]


async def test_gitlab_is_away(operator):
    fault = {"path": "/api/v4/projects/[0-9]+/merge_requests", "status": 502, "times": 999}
    await operator.sim("faults", fault | {"body": "<html>Bad Gateway</html>"})
    mr = await operator.opened(APP, "away")

    found = await operator.until(mr, "gitlab_away")

    assert "502" in found["text"]
    await operator.sim("faults", method="DELETE")
    await operator.until(mr, "reviewed")


async def test_the_clone_fails(operator):
    await operator.sim("faults", {"path": r"\.git/", "status": 401, "times": 999})
    mr = await operator.opened(APP, "unreadable")

    found = await operator.until(mr, "failed")

    assert "GITLAB_READ_TOKEN" in found["text"] + found["mend"]


async def test_a_task_waits_for_the_slot_of_another(operator):
    await operator.sim("faults", {"path": r"\.git/", "hang": True, "times": 999})
    first = await operator.opened(APP, "first")
    running = await operator.until(first, "running")
    second = await operator.opened(APP, "second")

    queued = await operator.until(second, "queued")

    assert "TASK_TIMEOUT" in running["mend"]
    assert "MAX_CONCURRENT_TASKS" in queued["mend"]
    for mr in (first, second):
        await operator.act(mr, "close")
        await operator.until(mr, "closed")


async def test_a_person_reads_the_whole_chain_on_a_narrow_screen(operator):
    mr = await operator.opened(APP, "fine")
    await operator.until(mr, "reviewed")

    answer = await operator.gca("events", mr, COLUMNS="60")

    lines = answer.out.splitlines()
    assert "\x1b" not in answer.out
    assert max(len(line) for line in lines if "http" not in line) <= 60
    kinds = [line.split()[1] for line in lines if line[2:3] == ":"]
    assert kinds == ["event", "task", "job", "session", "result", "published"]
    assert any(line.startswith("review: this head has its review") for line in lines)


async def test_an_echo_goes_through_a_real_job_and_back(operator):
    answer = await operator.gca("doctor", "--task", "--json")

    checks = [json.loads(line) for line in answer.out.splitlines()]
    names = ["task requested", "Job started", "spec fetched", "result accepted"]
    assert (answer.code, names) == (0, [check["name"] for check in checks]), answer
    assert {"ok"} == {check["state"] for check in checks}


async def test_what_reviews_cost_is_counted(operator):
    mr = await operator.opened(APP, "counted")
    await operator.until(mr, "reviewed")

    found = json.loads((await operator.gca("stats", "--since", "1h", "--json")).out)

    assert found["all"]["reviews"] >= 1
    assert found["all"]["input_tokens"] > 0
    assert "team/app" in {project["path"] for project in found["projects"]}

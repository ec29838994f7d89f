"""As a new operator: what became of a command or an issue, from the command line alone."""

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
FILES = {"app.py": "def hello(name):\n    return name\n"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Operator]:
    async with gca_up(tmp_path_factory.mktemp("operator")) as started:
        await started.sim("projects", {"path": "team/app", "files": FILES})
        await started.webhook(on=True)
        yield started


async def write(operator: Operator, mr: str, text: str, **more: str) -> None:
    project, _, iid = mr.partition("!")
    await operator.sim(f"projects/{project}/merge_requests/{iid}/comment", {"body": text, **more})


async def test_a_question_has_its_answer(operator):
    mr = await operator.opened(APP, "asked", draft=True)
    await write(operator, mr, "/copilot ask what is this?")

    found = await operator.until(mr, "done", kind="command")

    assert "a reply http" in found["text"]


async def test_a_commit_is_told_with_its_branch(operator):
    mr = await operator.opened(APP, "changed", draft=True)
    await write(operator, mr, "/copilot add a test")

    found = await operator.until(mr, "done", kind="command")

    assert "on changed" in found["text"]
    rows = [
        json.loads(row) for row in (await operator.gca("events", mr, "--json")).out.splitlines()
    ]
    published = next(row for row in rows if row["kind"] == "published")
    assert "commit" in {write["what"] for write in published["details"]["writes"]}


async def test_sr_06_a_stranger_is_refused_and_the_operator_sees_why(operator):
    await operator.sim("users", {"username": "stranger"})
    mr = await operator.opened(APP, "refused", draft=True)
    await write(operator, mr, "/copilot add a test", author="stranger")

    found = await operator.until(mr, "refused", kind="command")

    assert "does not reach; it takes Developer" in found["text"]
    assert "MIN_ROLE_WRITE" in found["mend"]


async def test_an_issue_is_told_before_and_after_it_was_moved(operator):
    before = await operator.why("DEMO-1")
    assert ("no_event", True) == (before["code"], "AI Ready" in before["text"])

    await operator.jira("issues/DEMO-1/move", {"status": "AI Ready"})
    found = await operator.until("DEMO-1", "done")

    assert "Draft merge request !" in found["text"]


async def test_an_issue_of_a_project_that_is_not_mapped(operator):
    found = await operator.why("OTHER-1")

    assert "not_allowed" == found["code"]
    assert "JIRA_PROJECT_MAP" in found["mend"]

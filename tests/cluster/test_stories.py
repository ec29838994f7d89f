"""What people get when every task is a real Job: a review, a commit, a merge request, an answer."""

from __future__ import annotations

import pytest

from libs.common.launching.protocol import job_name
from tests.cluster.installed import PATIENCE, SERVICES, STORY
from tests.cluster.people import ProjectRef
from tests.e2e.coding import AUTHOR

pytestmark = STORY
TRACKED = ProjectRef(1001, "demo/shop")


async def test_a_merge_request_is_reviewed_by_a_job_that_leads_to_its_task_and_back(system):
    mr = await system.gitlab.opened()
    task_id = await system.task_of(mr)

    pod = await system.pod_of(task_id)
    record = await system.review_of(mr, seconds=PATIENCE)

    name = pod["metadata"]["labels"]["batch.kubernetes.io/job-name"]
    assert job_name("review", task_id) == name
    assert f"task.*.*.*.{task_id}" == pod["metadata"]["annotations"]["gca/task-subject"]
    assert ("posted", task_id) == (record.outcome, record.task_id)
    notes = [one for one in await system.gitlab.notes(mr) if one["system"] is False]
    [inline] = [one["position"] for one in notes if one.get("position")]
    assert ("app.py", 2) == (inline["new_path"], inline["new_line"])
    assert 2 == len(notes), "the finding and the summary"


async def test_a_command_becomes_a_commit_and_a_question_an_answer(system):
    mr = await system.gitlab.draft()

    record, said = await system.answered(mr, "/copilot add a note about rounding")
    _, answer = await system.answered(mr, "/copilot ask what does price return?")

    [commit] = await system.gitlab.commits(mr)
    assert commit["id"] == record.commit_sha
    assert commit["id"][:8] in said
    assert AUTHOR == (commit["author_name"], commit["author_email"])
    assert "app.py:2" in answer


async def test_a_jira_issue_becomes_a_draft_merge_request(system):
    issue = await system.issue("Round prices", "Add a note that prices are rounded.")

    record = await system.answer_to_issue(issue, seconds=PATIENCE)

    assert "posted" == record.outcome
    found = await system.gitlab.merge_requests(TRACKED)
    [mr] = [one for one in found if one["iid"] == record.merge_request_iid]
    assert (True, f"agent/{issue.key}") == (mr["draft"], mr["source_branch"])
    [comment] = await system.jira.comments(issue)
    assert mr["web_url"] in comment


@pytest.mark.timeout(1200)
async def test_with_two_replicas_of_everything_each_thing_still_happens_once(mended):
    system = mended
    await system.configure({name: {"replicas": 2} for name in SERVICES})

    reviewed = [await system.gitlab.opened() for _ in range(2)]
    asked = await system.gitlab.draft()
    notes = [
        await system.gitlab.comment(asked, f"/copilot note thing {which}")
        for which in ("one", "two")
    ]
    issue = await system.issue("Two replicas", "Add a note about replicas.")

    for mr in reviewed:
        await system.review_of(mr, seconds=2 * PATIENCE)
        assert 2 == len(await system.gitlab.said(mr)), "the finding and the summary, once"
    for note in notes:
        await system.answer(asked, note, seconds=2 * PATIENCE)
    assert 2 == len(await system.gitlab.commits(asked))
    await system.answer_to_issue(issue, seconds=2 * PATIENCE)
    assert 1 == len(await system.jira.comments(issue))

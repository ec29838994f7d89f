"""What people get who ask for code, answers and reviews, with the real CLI and real git."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.coding import (
    AFTER,
    AUTHOR,
    BUDGETS,
    PATIENCE,
    answered,
    comments_of_agent,
    commits_of,
    emoji_on,
    open_draft,
    project_in,
    said_by_agent,
    state_of,
    threads_of_agent,
)
from tests.e2e.system import System, delivered_again, running_system
from tests.simulators.gitlab.state import DEVELOPER, GUEST

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.timeout(400),
    pytest.mark.asyncio(loop_scope="module"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    folder = tmp_path_factory.mktemp("coding")
    async with running_system(folder, jira=True, settings=BUDGETS) as started:
        # Before that, a mention is a word like others.
        await started.until(lambda: "the agent is known" in started.logs(), "ingest to know us")
        yield started


@pytest.fixture(autouse=True)
def mended(system: System):
    yield
    system.gitlab.faults.clear()
    system.tracker.jira.faults.clear()
    system.model.mode = "sim-reviewer"


async def test_a_command_becomes_one_commit_a_reply_and_a_check_mark_and_no_pipeline(system):
    mr = await open_draft(system)
    head, person = mr.head_sha, system.person(mr.project)

    note = await system.note(mr, "/copilot add a note about rounding", by=person)
    record, said = await answered(system, mr, note)

    [commit] = commits_of(mr.project)
    assert (head,) == commit.parents
    assert AUTHOR == (commit.author_name, commit.author_email)
    [by, task] = commit.message.strip().splitlines()[-2:]
    assert by == f"Requested-by: {person.username} (GitLab user {person.id})"
    assert task == f"Gca-Task: coding-{mr.project.id}-{mr.iid}-n{note.id}"
    assert (commit.sha, commit.sha) == (mr.head_sha, record.commit_sha)
    assert commit.sha[:8] in said
    assert ["white_check_mark"] == emoji_on(note)
    assert [] == system.gitlab.pipelines(mr.project, sha=commit.sha)
    assert b"rounding" in mr.project.repository.file("topic", "NOTES.md")


async def test_a_question_gets_an_answer_and_no_commit(system):
    mr = await open_draft(system)

    note = await system.note(mr, "/copilot ask what does price return?")
    _, said = await answered(system, mr, note)

    assert "app.py:2" in said
    assert [] == commits_of(mr.project)
    assert ["white_check_mark"] == emoji_on(note)


async def test_help_says_what_can_be_asked_and_starts_no_session(system):
    mr = await open_draft(system)
    before = len(system.model.requests)

    note = await system.note(mr, "/Copilot help", access_level=GUEST)
    _, said = await answered(system, mr, note)

    assert "/copilot ask" in said
    assert before == len(system.model.requests)


async def test_a_mention_is_a_command_too(system):
    mr = await open_draft(system)

    note = await system.note(mr, f"@{system.gitlab.bot.username} please add a note on rounding")
    await answered(system, mr, note)

    assert 1 == len(commits_of(mr.project))


async def test_sr_06_a_guest_is_told_once_and_politely_that_it_needs_a_role(system):
    mr = await open_draft(system)
    guest = system.person(mr.project, GUEST)

    first = await system.note(mr, "/copilot add a note", by=guest)
    _, said = await answered(system, mr, first, "refused")
    second = await system.note(mr, "/copilot add a note, really", by=guest)
    await system.answer_to(mr, second)

    assert "the role Developer or more" in said
    assert 1 == len(said_by_agent(system, mr))
    assert [] == commits_of(mr.project)


# --- reviews ----------------------------------------------------------------------------


async def test_a_reviewed_head_is_reviewed_again_for_who_asks_and_so_is_the_head_of_a_command(
    system,
):
    project = project_in(system)
    system.gitlab.commit(project, branch="topic", files={"app.py": "x = eval(input())\n"})
    mr = await system.gitlab.open_merge_request(project, source_branch="topic")
    await system.review_of(mr, seconds=PATIENCE)

    note = await system.note(mr, "/copilot review")
    again = await system.answer_to(mr, note, seconds=PATIENCE)
    assert "posted" == again.outcome
    assert ["white_check_mark"] == emoji_on(note)

    await answered(system, mr, await system.note(mr, "/copilot add a note"))
    [commit] = commits_of(project)
    of_commit = await system.review_of(mr, commit.sha, seconds=PATIENCE)
    assert ("posted", commit.sha) == (of_commit.outcome, mr.head_sha)
    [inline, summary] = threads_of_agent(system, mr)
    assert (True, None) == (inline.notes[0].position is not None, summary.notes[0].position)


# --- what is refused --------------------------------------------------------------------


async def test_sr_08_a_push_between_note_and_run_gets_a_clear_reply_and_no_commit(system):
    mr = await open_draft(system)
    system.gitlab.hold_webhooks()
    note = await system.note(mr, "/copilot add a note")
    await system.gitlab.push(mr.project, branch="topic", files={"more.py": "x = 1\n"})
    await system.gitlab.release_webhooks()

    _, said = await answered(system, mr, note, "refused")

    assert "other commits now than when this was asked for" in said
    assert ["x"] == emoji_on(note)
    assert [] == commits_of(mr.project)


async def test_sr_35_a_protected_source_branch_is_not_pushed_to(system):
    mr = await open_draft(system)
    system.gitlab.protect_branch(mr.project, "to*", push=DEVELOPER)

    _, said = await answered(system, mr, await system.note(mr, "/copilot add a note"), "refused")

    assert "protected" in said
    assert [] == commits_of(mr.project)


async def from_fork(system: System, *, allow_collaboration: bool):
    project = project_in(system)
    system.gitlab.protect_branch(project, "main", merge=DEVELOPER)
    fork = system.gitlab.fork_project(
        project, f"{project.path_with_namespace}-fork", visibility="public"
    )
    return await open_fork(system, project, fork, allow_collaboration=allow_collaboration)


async def open_fork(system, project, fork, *, allow_collaboration):
    system.gitlab.commit(fork, branch="topic", files={"app.py": AFTER})
    return await system.gitlab.open_merge_request(
        project,
        source_branch="topic",
        source_project=fork,
        draft=True,
        allow_collaboration=allow_collaboration,
    )


async def test_a_fork_that_takes_commits_gets_one(system):
    mr = await from_fork(system, allow_collaboration=True)

    await answered(system, mr, await system.note(mr, "/copilot add a note"))

    [commit] = commits_of(mr.source_project)
    assert commit.sha == mr.head_sha


async def test_a_fork_that_takes_no_commits_gets_a_clear_reply(system):
    mr = await from_fork(system, allow_collaboration=False)

    _, said = await answered(system, mr, await system.note(mr, "/copilot add a note"), "refused")

    assert "Allow commits from members" in said
    assert [] == commits_of(mr.source_project)


async def test_a_merge_request_that_closes_meanwhile_gets_a_word_and_no_commit(system):
    system.model.mode = "sim-slow"
    mr = await open_draft(system)
    before = len(system.model.requests)
    note = await system.note(mr, "/copilot add a note")
    await system.until(lambda: len(system.model.requests) > before, "the session to run")

    await system.gitlab.close(mr)
    _, said = await answered(system, mr, note, "superseded")

    assert "closed" in said
    assert [] == commits_of(mr.project)


async def test_a_session_that_changes_nothing_says_so(system):
    system.model.mode = "sim-coding-nothing"
    mr = await open_draft(system)

    _, said = await answered(system, mr, await system.note(mr, "/copilot add a note"))

    assert "Nothing was changed" in said
    assert [] == commits_of(mr.project)


async def test_sr_32_a_session_that_changes_the_ci_file_is_refused_and_nothing_pushed(system):
    system.model.mode = "sim-coding-ci"
    mr = await open_draft(system)
    head = mr.head_sha

    _, said = await answered(system, mr, await system.note(mr, "/copilot run all"), "refused")

    assert ".gitlab-ci.yml" in said
    assert (head, head) == (mr.head_sha, mr.project.repository.branch("topic"))


async def test_two_commands_at_once_give_two_commits_in_order(system):
    mr = await open_draft(system)
    head = mr.head_sha

    first = await system.note(mr, "/copilot note one thing")
    second = await system.note(mr, "/copilot note another thing")
    one, _ = await answered(system, mr, first)
    two, _ = await answered(system, mr, second)

    [newer, older] = commits_of(mr.project)
    assert ((head,), (older.sha,)) == (older.parents, newer.parents)
    # Hooks of one moment may come in either order; the log's is the one that counts.
    made = {first.id: one.commit_sha, second.id: two.commit_sha}
    asked = [command.note_id for command in await system.commands(mr)]
    assert [older.sha, newer.sha] == [made[note_id] for note_id in asked]
    notes = mr.project.repository.file("topic", "NOTES.md")
    assert b"one thing" in notes
    assert b"another thing" in notes


# --- Jira -------------------------------------------------------------------------------


async def test_an_issue_becomes_a_draft_and_one_that_comes_back_gets_a_second_branch(system):
    tracker = system.tracker
    issue = tracker.issue("Round prices", "Add a note that prices are rounded.")
    tracker.move(issue)
    record = await system.answer_to_issue(issue, seconds=PATIENCE)

    mr = tracker.project.merge_requests[record.merge_request_iid]
    assert (True, f"agent/{issue.key}", "main") == (mr.draft, mr.source_branch, mr.target_branch)
    assert mr.title == f"Draft: {issue.key} Round prices"
    [commit] = commits_of(tracker.project, f"agent/{issue.key}")
    assert commit.sha == record.commit_sha
    assert f"Gca-Task: {record.task_id}" in commit.message
    [comment] = comments_of_agent(system, issue)
    assert mr.web_url in str(comment.body)
    assert ["In Progress", "In Review"] == moves_of_agent(system, issue)

    tracker.move(issue)
    again = await system.answer_to_issue(issue, after=record, seconds=PATIENCE)

    assert (f"agent/{issue.key}-2", 2) == (again.branch, len(comments_of_agent(system, issue)))
    second = tracker.project.merge_requests[again.merge_request_iid]
    assert (f"agent/{issue.key}-2", True) == (second.source_branch, second.draft)
    assert ["In Progress", "In Review"] * 2 == moves_of_agent(system, issue)


def moves_of_agent(system: System, issue) -> list[str]:
    return [
        item["toString"]
        for change in issue.changes
        for item in change.items
        if change.author is system.tracker.jira.bot and item["fieldId"] == "status"
    ]


# --- everything twice -------------------------------------------------------------------


async def test_every_event_and_hook_that_comes_twice_changes_nothing(system):
    """The durables are made anew: each service sees the whole log again, during and after."""
    mr = await open_draft(system)
    sessions = len(system.model.requests)
    ask = await system.note(mr, "/copilot ask what is price?")
    code = await system.note(mr, "/copilot add a note")
    issue = system.tracker.issue("Note something", "Add a note.")
    system.tracker.move(issue)
    await system.until(lambda: len(system.model.requests) > sessions, "a session to run")
    await delivered_again(system)
    await answered(system, mr, ask)
    await answered(system, mr, code)
    await system.answer_to_issue(issue, seconds=PATIENCE)
    before = state_of(system)

    await system.gitlab.settle()
    for delivery in list(system.gitlab.deliveries):
        await system.gitlab.duplicate(delivery)
    await delivered_again(system)

    assert before == state_of(system)
    assert 1 == len(commits_of(mr.project))
    assert 1 == len(commits_of(system.tracker.project, f"agent/{issue.key}"))
    assert 1 == len(comments_of_agent(system, issue))
    assert 2 == len(said_by_agent(system, mr))

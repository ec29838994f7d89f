"""What becomes of a Jira issue: one task, one new branch, or a refusal."""

from __future__ import annotations

import contextlib

import msgspec
import pytest

from libs.common.events.tasks import Issue, NothingToDo, PushTarget, Refused, TaskFailed
from services.coder.handlers import on_event
from tests.fakes.gitlab import BASE_SHA
from tests.unit.coder.world import B, Fuse, Killed, World


@pytest.fixture
def world() -> World:
    return World()


async def test_an_issue_becomes_a_task_with_a_new_branch(world):
    await world.deliver(await world.ready(web_url="https://jira.test/browse/SHOP-12"))

    [request] = world.requests()
    assert ("coding-SHOP-12-10457", "coding", "SHOP", "12", 42, 0) == (
        request.task_id, request.kind, request.scope, request.ref, request.project_id, request.iid,
    )  # fmt: skip
    assert {BASE_SHA} == {
        request.diff_refs.base_sha, request.diff_refs.start_sha, request.diff_refs.head_sha,
    }  # fmt: skip
    assert ("Accept vouchers", "Accept vouchers\n\nCustomers want them.") == (
        request.title, request.instruction,
    )  # fmt: skip
    link = "https://jira.test/browse/SHOP-12"
    assert Issue(key="SHOP-12", web_url=link, status="AI Ready") == request.issue
    assert ("Alice Ash", "712020:alice") == (request.requester.name, request.requester.account_id)
    assert request.push == PushTarget(
        project_id=42,
        clone_url="https://gitlab.test/group/project.git",
        branch="agent/SHOP-12",
        new_branch=True,
        never_to=("main",),
    )
    assert ("agent/SHOP-12", "main") == (request.source_branch, request.target_branch)
    assert [request.task_id] == await world.run_jobs()


async def test_a_task_needs_four_calls_of_gitlab(world):
    await on_event(await world.ready(), ports=world.ports())

    assert ["project", "branch", "protected_branches", "branch"] == world.gitlab.calls


async def test_the_clone_url_is_gitlab_s_and_not_the_setting_s(world):
    """SR-03."""
    await world.deliver(await world.ready(clone_url="https://evil.test/x.git"))

    assert "https://gitlab.test/group/project.git" == world.requests()[0].clone_url


async def test_the_target_branch_is_the_map_s_or_the_default_one(world):
    world.gitlab.set_branch(42, "release", B)

    await world.deliver(await world.ready(target_branch="release"))

    assert ("release", B) == (world.requests()[0].target_branch, world.requests()[0].head_sha)


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        (["agent/SHOP-12"], "agent/SHOP-12-2"),
        (["agent/SHOP-12", "agent/SHOP-12-2"], "agent/SHOP-12-3"),
    ],
)
async def test_a_branch_that_is_there_is_left_alone(world, taken, expected):
    for name in taken:
        world.gitlab.set_branch(42, name, B)

    await world.deliver(await world.ready())

    assert expected == world.requests()[0].push.branch


async def test_twenty_branches_are_enough(world):
    for number in range(1, 21):
        name = "agent/SHOP-12" if number == 1 else f"agent/SHOP-12-{number}"
        world.gitlab.set_branch(42, name, B)

    await world.deliver(await world.ready())

    assert "no_branch" == world.results()[0].code


async def test_an_issue_that_comes_back_gets_another_branch_beside_the_one_in_work(world):
    await world.deliver(await world.ready("1"))
    await world.deliver(await world.ready("2"))

    assert ["agent/SHOP-12", "agent/SHOP-12-2"] == [one.push.branch for one in world.requests()]


async def test_a_branch_that_a_failed_task_never_made_is_free_again(world):
    await world.deliver(await world.ready("1"))
    [first] = world.requests()
    failed = TaskFailed(task_id=first.task_id, head_sha=first.head_sha, reason="model")
    await world.deliver(await world.ended(first, failed))

    await world.deliver(await world.ready("2"))

    assert "agent/SHOP-12" == world.requests()[1].push.branch


async def test_a_branch_that_was_merged_and_deleted_is_not_made_again(world):
    await world.deliver(await world.ready("1"))
    [first] = world.requests()
    await world.proposed(first)
    await world.told(first, B)

    await world.deliver(await world.ready("2"))

    assert "agent/SHOP-12-2" == world.requests()[1].push.branch


async def test_a_task_that_was_asked_for_keeps_its_branch(world):
    record = await world.ready()
    await world.deliver(record)
    world.gitlab.set_branch(42, "agent/SHOP-12", B)

    await world.deliver(record)

    assert ["agent/SHOP-12"] == [one.push.branch for one in world.requests()]


@pytest.mark.parametrize("patterns", [["agent/*"], ["*"]])
async def test_sr_35_a_new_branch_that_would_be_protected_is_not_made(world, patterns):
    world.gitlab.protected[42] = patterns

    await world.deliver(await world.ready())

    assert "protected" == world.results()[0].code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"restricted": True}, "restricted_issue"),
        ({"project_id": 99}, "no_project"),
        ({"target_branch": "gone"}, "no_branch"),
    ],
)
async def test_what_cannot_be_done_is_refused_and_no_text_is_kept(world, changes, code):
    """SR-10 for issues that only some may see."""
    await world.deliver(await world.ready(**changes))

    [request], [result] = world.requests(), world.results()
    assert isinstance(result, Refused)
    assert (code, "") == (result.code, request.instruction)
    assert [] == await world.run_jobs()


async def test_a_restricted_issue_s_title_stays_out_of_the_log_s_tasks(world):
    """SR-10."""
    await world.deliver(await world.ready(restricted=True, summary="The secret merger"))

    assert "secret merger" not in str(world.requests())


async def test_an_issue_without_a_description_is_worked_on_by_its_summary(world):
    await world.deliver(await world.ready(description=" "))

    assert "Accept vouchers" == world.requests()[0].instruction


async def test_an_issue_without_any_text_is_named(world):
    await world.deliver(await world.ready(summary="", description=""))

    assert "SHOP-12" == world.requests()[0].instruction


async def test_a_long_description_is_cut(world):
    await world.deliver(await world.ready(description="x" * 70_000))

    assert 60_000 == len(world.requests()[0].instruction)


async def test_nothing_to_do_for_an_issue_ends_it(world):
    await world.deliver(await world.ready())
    [request] = world.requests()
    nothing = NothingToDo(task_id=request.task_id, head_sha=request.head_sha, summary="No.")

    await world.deliver(await world.ended(request, nothing))

    assert [] == await world.run_jobs()


@pytest.mark.parametrize("restricted", [False, True])
async def test_killed_at_any_effect_the_next_process_comes_to_the_same_end(restricted):
    async def story(kill_at: int, *, after: bool) -> tuple[list[object], Fuse]:
        world = World()
        record = await world.ready(restricted=restricted)
        fuse = Fuse(kill_at=kill_at, after=after)
        with contextlib.suppress(Killed):
            await on_event(record, ports=world.ports(fuse))
        await world.deliver(record)
        return [*world.requests(), *world.results(), *await world.run_jobs()], fuse

    expected, probe = await story(0, after=False)
    for kill_at in range(1, probe.count + 1):
        for after in (False, True):
            assert expected == (await story(kill_at, after=after))[0], (kill_at, after)


async def test_a_project_without_clone_url_over_http_gets_no_task(world):
    project = world.gitlab.projects[42]
    world.gitlab.projects[42] = msgspec.structs.replace(project, http_url_to_repo="")

    with pytest.raises(Exception, match="another host"):
        await on_event(await world.ready(), ports=world.ports())

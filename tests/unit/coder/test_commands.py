"""What becomes of a command: a task, an answer, or a refusal that says why."""

from __future__ import annotations

import contextlib
import dataclasses
from datetime import timedelta

import msgspec
import pytest

from libs.common.errors import Permanent, Temporary
from libs.common.events.tasks import Answered, AskedIn, DiffRefs, PushTarget, Refused
from libs.common.gitlab.agent import Agent
from libs.common.gitlab.errors import Unavailable
from libs.common.gitlab.models import User
from services.coder.handlers import on_event
from tests.fakes.gitlab import ALICE, BOT
from tests.unit.coder.world import BOB, A, B, D, Fuse, Killed, World

CODE = "/copilot add a test"


@pytest.fixture
def world() -> World:
    return World()


def refusal(world: World) -> Refused:
    [result] = world.results()
    assert isinstance(result, Refused)
    assert not world.requests()[-1].instruction, "a refused request holds no text"
    return result


async def test_a_command_becomes_a_task_with_all_that_runner_and_publisher_may_act_on(world):
    request = await world.say(CODE)

    note = world.mr.discussions[0].notes[0]
    assert 1 == len(world.requests())
    assert f"coding-42-7-n{note.id}" == request.task_id
    assert ("coding", "42", "7", 42, 7) == (
        request.kind, request.scope, request.ref, request.project_id, request.iid,
    )  # fmt: skip
    assert DiffRefs(base_sha=D, start_sha=D, head_sha=A) == request.diff_refs
    assert "add a test" == request.instruction
    assert AskedIn(note_id=note.id, discussion_id=world.mr.discussions[0].id) == request.asked_in
    assert ("alice", 8, 30) == (
        request.requester.name, request.requester.user_id, request.requester.access_level,
    )  # fmt: skip
    assert "Developer" in request.requester.rule
    assert request.push == PushTarget(
        project_id=42,
        clone_url="https://gitlab.test/group/project.git",
        branch="topic",
        never_to=("main",),
    )
    assert world.clock.now() + timedelta(hours=6) == request.expires_at
    assert [request.task_id] == await world.run_jobs()


async def test_a_question_is_pinned_to_the_head_of_now_and_pushes_nowhere(world):
    record = await world.note("/copilot ask why?")
    await world.push(B)

    await world.deliver(record)

    [request] = world.requests()
    assert ("ask", "why?", B, None) == (
        request.kind, request.instruction, request.head_sha, request.push,
    )  # fmt: skip
    assert [request.task_id] == await world.run_jobs()


async def test_a_closed_merge_request_still_gets_answers(world):
    world.gitlab.change(world.mr, state="merged")

    request = await world.say("/copilot ask why?")

    assert [] == world.results()
    assert [request.task_id] == await world.run_jobs()


async def test_help_is_answered_at_once_and_by_nobody_s_job(world):
    request = await world.say("/copilot help", User(id=77, username="stranger"))

    assert "ask" == request.kind
    assert [Answered(task_id=request.task_id, head_sha=A, answer="", help=True)] == world.results()
    assert [] == await world.run_jobs()


async def test_a_review_is_the_reviewer_s(world):
    await world.deliver(await world.note("/copilot review"))

    assert [] == world.requests()


@pytest.mark.parametrize("level", [0, 5, 10, 15, 20])
async def test_sr_06_without_the_role_code_is_refused_and_no_text_is_kept(world, level):
    del world.gitlab.members[42, ALICE.id]
    if level:
        world.gitlab.add_member(42, ALICE, level)

    await world.say(CODE)

    assert ("access", "Developer") == (refusal(world).code, refusal(world).needed)
    assert [] == await world.run_jobs()


@pytest.mark.parametrize("level", [30, 40, 50])
async def test_sr_06_with_the_role_code_is_asked_for(world, level):
    world.gitlab.add_member(42, ALICE, level)

    await world.say(CODE)

    assert 1 == len(await world.run_jobs())


async def test_sr_06_a_blocked_person_is_refused_and_a_reporter_may_ask(world):
    world.gitlab.add_member(42, ALICE, 40, state="blocked")
    world.gitlab.add_member(42, BOB, 20)

    denied = await world.say(CODE)
    asked = await world.say("/copilot ask why?", BOB)

    assert isinstance(world.result(denied), Refused)
    assert [asked.task_id] == await world.run_jobs()


class FailAt:
    """GitLab, but one call of it is answered by an error."""

    def __init__(self, inner: object, number: int) -> None:
        self._inner, self._left = inner, number

    def __getattr__(self, name: str) -> object:
        self._left -= 1
        return self._fail if self._left == 0 else getattr(self._inner, name)

    async def _fail(self, *_: object) -> None:
        raise Unavailable("502 from a proxy")


async def test_sr_06_an_api_that_is_away_lets_nobody_in_and_everybody_in_when_it_is_back():
    for fail_at in range(1, 9):
        world = World()
        record = await world.note(CODE)
        ports = world.ports()
        gitlab = FailAt(world.gitlab, fail_at)
        agent = Agent(gitlab, "")

        with pytest.raises(Unavailable):
            await on_event(record, ports=dataclasses.replace(ports, gitlab=gitlab, agent=agent))
        assert [] == world.requests(), fail_at
        await world.deliver(record)

        assert 1 == len(world.requests()), fail_at


async def test_a_stranger_is_told_once_an_hour_and_no_more(world):
    """SR-43: refusals are not a way to make us write."""
    del world.gitlab.members[42, ALICE.id]

    for _ in range(3):
        await world.say(CODE)
    world.clock.advance(3601)
    await world.say(CODE)

    assert [False, True, True, False] == [result.quiet for result in world.results()]


@pytest.mark.parametrize(
    ("author", "fields"),
    [
        (BOT, {}),
        (User(id=70, username="other-bot", bot=True), {}),
        (ALICE, {"system": True}),
    ],
)
async def test_sr_09_notes_of_bots_ourselves_and_gitlab_start_nothing(world, author, fields):
    world.gitlab.add_member(42, author, 40)

    await world.deliver(await world.note(CODE, author, **fields))

    assert [] == world.requests()


async def test_sr_09_an_edited_or_deleted_note_starts_nothing(world):
    edited, deleted = await world.note(CODE), await world.note(CODE)
    first = world.mr.discussions[0]
    changed = msgspec.structs.replace(first.notes[0], body="/copilot delete everything")
    world.mr.discussions[:] = [msgspec.structs.replace(first, notes=(changed,))]

    await world.deliver(edited)
    await world.deliver(deleted)

    assert [] == world.requests()


async def test_a_command_older_than_a_day_starts_nothing(world):
    record = await world.note(CODE)
    world.clock.advance(24 * 3600)

    await world.deliver(record)

    assert [] == world.requests()


# --- the pin ---------------------------------------------------------------------------


async def test_sr_08_a_push_between_note_and_run_ends_it_with_a_word(world):
    record = await world.note(CODE)
    world.clock.advance(5)
    await world.push(B)

    await world.deliver(record)

    assert "moved" == refusal(world).code
    assert [] == await world.run_jobs()


async def test_sr_08_a_push_before_the_note_is_what_the_note_is_about(world):
    await world.push(B)
    world.clock.advance(5)

    request = await world.say(CODE)

    assert B == request.head_sha
    assert [] == world.results()


async def test_sr_08_a_rewritten_branch_ends_it_too(world):
    record = await world.note(CODE)
    world.clock.advance(5)
    world.mr.commits.clear()
    await world.push(B)

    await world.deliver(record)

    assert "moved" == refusal(world).code


async def test_gitlab_that_has_not_made_the_version_yet_is_waited_for_but_not_for_ever(world):
    record = await world.note(CODE)
    world.gitlab.set_branch(42, "topic", B)

    with pytest.raises(Temporary, match="has not made the diff"):
        await on_event(record, ports=world.ports())
    assert [] == world.requests()
    world.clock.advance(121)
    await world.deliver(record)

    assert "moved" == refusal(world).code


# --- the place -------------------------------------------------------------------------


async def test_a_closed_merge_request_gets_no_code(world):
    world.gitlab.change(world.mr, state="closed")

    await world.say(CODE)

    assert "closed" == refusal(world).code


async def test_sr_10_an_internal_note_is_refused_and_its_text_is_not_kept(world):
    await world.say(CODE, internal=True)

    assert "internal_note" == refusal(world).code


async def test_a_branch_that_is_gone_is_said(world):
    del world.gitlab.branches[42, "topic"]

    await world.say(CODE)

    assert "no_branch" == refusal(world).code


@pytest.mark.parametrize("patterns", [["topic"], ["to*"], ["*"]])
async def test_sr_35_and_sr_07_a_protected_branch_is_never_pushed_to(world, patterns):
    world.gitlab.protected[42] = patterns
    world.gitlab.add_member(42, ALICE, 50)

    await world.say(CODE)

    assert "protected" == refusal(world).code


async def test_sr_35_the_default_branch_is_never_pushed_to_even_when_it_is_not_protected():
    world = World(source_branch="main", target_branch="release")
    world.gitlab.protected[42] = None

    await world.say(CODE)

    assert "protected" == refusal(world).code


async def test_protected_branches_that_we_may_not_list_leave_the_default_one(world):
    world.gitlab.protected[42] = None

    request = await world.say(CODE)

    assert ("main",) == request.push.never_to


async def test_a_clone_url_on_another_host_gets_no_task(world):
    """SR-03, SR-04."""
    project = world.gitlab.projects[42]
    world.gitlab.projects[42] = msgspec.structs.replace(
        project, http_url_to_repo="https://evil.test/group/project.git"
    )

    with pytest.raises(Permanent, match="another host"):
        await on_event(await world.note(CODE), ports=world.ports())

    assert [] == world.requests()


async def test_a_project_that_is_not_served_gets_nothing(world):
    record = await world.note(CODE)
    del world.gitlab.projects[42]

    await world.deliver(record)

    assert [] == world.requests()


# --- forks -----------------------------------------------------------------------------


def forked(*, level: int = 40, **fields: object) -> World:
    world = World()
    world.gitlab.add_project(43, "alice/project")
    world.gitlab.set_branch(43, "topic", A)
    world.gitlab.change(
        world.mr, **({"source_project_id": 43, "allow_collaboration": True} | fields)
    )
    world.gitlab.add_member(42, ALICE, level)
    return world


async def test_a_fork_that_takes_commits_is_pushed_to():
    world = forked()

    request = await world.say(CODE)

    assert (43, "https://gitlab.test/alice/project.git", "topic") == (
        request.push.project_id, request.push.clone_url, request.push.branch,
    )  # fmt: skip
    assert "https://gitlab.test/group/project.git" == request.clone_url


@pytest.mark.parametrize("fields", [{"allow_collaboration": False}, {"source_project_id": None}])
async def test_a_fork_that_takes_no_commits_or_is_gone_is_refused(fields):
    world = forked(**fields)

    await world.say(CODE)

    assert "fork" == refusal(world).code


async def test_a_fork_that_we_cannot_read_is_refused():
    world = forked()
    del world.gitlab.projects[43]

    await world.say(CODE)

    assert "fork" == refusal(world).code


@pytest.mark.parametrize(
    ("level", "merge", "code"),
    [(30, False, "access"), (40, False, None), (30, True, None)],
)
async def test_sr_07_a_fork_s_commits_need_the_right_to_merge_into_the_target(level, merge, code):
    world = forked(level=level)
    main = world.gitlab.branches[42, "main"]
    world.gitlab.branches[42, "main"] = msgspec.structs.replace(main, developers_can_merge=merge)

    await world.say(CODE)

    assert code == (refusal(world).code if world.results() else None)


# --- crashes ---------------------------------------------------------------------------


@pytest.mark.parametrize("text", [CODE, "/copilot ask why?", "/copilot help"])
@pytest.mark.parametrize("level", [10, 30])
async def test_killed_at_any_effect_the_next_process_comes_to_the_same_end(text, level):
    async def story(kill_at: int, *, after: bool) -> tuple[list[object], Fuse]:
        world = World()
        world.gitlab.add_member(42, ALICE, level)
        record = await world.note(text)
        fuse = Fuse(kill_at=kill_at, after=after)
        with contextlib.suppress(Killed):
            await on_event(record, ports=world.ports(fuse))
        if level == 10:
            assert [] == await world.run_jobs(), "SR-06: a refused command runs for a moment"
        await world.deliver(record)
        return [*world.requests(), *world.results(), *await world.run_jobs()], fuse

    expected, probe = await story(0, after=False)
    assert probe.count >= 2
    for kill_at in range(1, probe.count + 1):
        for after in (False, True):
            assert expected == (await story(kill_at, after=after))[0], (kill_at, after)


async def test_a_refusal_cut_in_half_ends_refused_whatever_is_true_later(world):
    world.gitlab.add_member(42, ALICE, 10)
    record = await world.note(CODE)
    with pytest.raises(Killed):
        await on_event(record, ports=world.ports(Fuse(kill_at=2, after=True)))
    assert [] == world.results()
    world.gitlab.add_member(42, ALICE, 40)

    await world.deliver(record)

    assert 1 == len(world.requests())
    assert isinstance(refusal(world), Refused)
    assert [] == await world.run_jobs()

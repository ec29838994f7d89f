"""Commands on one branch take turns: one commit each, in the order of their notes."""

from __future__ import annotations

import contextlib

import msgspec
import pytest

from libs.common import subjects
from libs.common.errors import Temporary
from libs.common.events.envelope import Recorded
from libs.common.events.tasks import (
    ChangesProposed,
    NothingToDo,
    Refused,
    Superseded,
    TaskFailed,
    TaskPublished,
    TaskRequested,
)
from libs.common.launching.protocol import job_name
from services.coder.handlers import on_event
from services.coder.turns import following, part
from tests.unit.coder.world import BOB, A, B, C, Fuse, Killed, World

FIRST, SECOND, THIRD = "/copilot first", "/copilot second", "/copilot third"
E_, F = "e" * 40, "f" * 40


@pytest.fixture
def world() -> World:
    return World()


async def finish(world: World, request: TaskRequested, commit_sha: str = "") -> None:
    """Runner, then publisher, each event delivered twice."""
    world.launcher.running.pop(job_name(request.kind, request.task_id), None)
    if commit_sha:
        await world.deliver(await world.proposed(request))
        await world.deliver(await world.published(request, commit_sha))
    else:
        nothing = NothingToDo(task_id=request.task_id, head_sha=request.head_sha, summary="No.")
        await world.deliver(await world.ended(request, nothing))
        await world.deliver(await world.told(request))


async def test_the_second_waits_and_is_asked_again_on_the_first_s_commit(world):
    first = await world.say(FIRST)
    second = await world.say(SECOND, BOB)
    assert [first.task_id] == await world.run_jobs()

    await world.deliver(await world.proposed(first))
    assert [first.task_id] == [job for job in await world.run_jobs() if job != second.task_id]
    world.launcher.running.clear()
    assert [] == await world.run_jobs(), "the first one's commit is not on the branch yet"
    await world.deliver(await world.published(first, B))

    again = world.requests()[-1]
    assert f"{second.task_id}-p2" == again.task_id
    assert (B, "second", "bob") == (again.head_sha, again.instruction, again.requester.name)
    assert second.asked_in == again.asked_in
    end = world.result(second)
    assert isinstance(end, Superseded)
    assert again.task_id == end.next_task_id
    assert [again.task_id] == await world.run_jobs()


async def test_three_at_once_give_one_commit_each_in_order(world):
    first, second, third = [await world.say(text) for text in (FIRST, SECOND, THIRD)]
    assert [first.task_id] == await world.run_jobs()

    await finish(world, first, B)
    [running] = await world.run_jobs()
    assert f"{second.task_id}-p2" == running
    await finish(world, world.requests()[-1], C)
    [running] = await world.run_jobs()
    assert f"{third.task_id}-p2" == running
    last = world.requests()[-1]
    await finish(world, last, E_)

    assert C == last.head_sha
    assert 5 == len(world.requests()), "only the first that waits is asked again"
    assert [] == await world.run_jobs()


async def test_one_that_changes_nothing_lets_the_next_one_run_with_its_own_pin(world):
    first, second = await world.say(FIRST), await world.say(SECOND)

    await finish(world, first)

    assert [second.task_id] == await world.run_jobs()
    assert 2 == len(world.requests())


async def test_a_stale_one_gets_its_turn_when_the_one_before_comes_to_nothing(world):
    """The second was asked again after the first's commit; the third must be, too."""
    first, second, third = [await world.say(text) for text in (FIRST, SECOND, THIRD)]
    await world.run_jobs()
    await finish(world, first, B)
    again = world.requests()[-1]
    assert second.task_id in again.task_id
    assert [again.task_id] == await world.run_jobs()
    failed = TaskFailed(task_id=again.task_id, head_sha=again.head_sha, reason="model")
    world.launcher.running.clear()
    await world.deliver(await world.ended(again, failed))

    assert [f"{third.task_id}-p2"] == await world.run_jobs()
    assert B == world.requests()[-1].head_sha


async def test_sr_08_another_person_s_push_ends_the_one_that_waits_with_a_word(world):
    first, second = await world.say(FIRST), await world.say(SECOND)
    await world.run_jobs()
    await world.deliver(await world.proposed(first))
    await world.push(C)

    await world.deliver(await world.published(first, B))

    end = world.result(second)
    assert isinstance(end, Refused)
    assert "moved" == end.code
    assert 2 == len(world.requests())


async def test_an_earlier_note_that_was_decided_later_does_not_overtake_what_runs(world):
    early = await world.note(FIRST)
    second = await world.say(SECOND)
    assert [second.task_id] == await world.run_jobs()

    await world.deliver(early)
    assert [second.task_id] == await world.run_jobs()
    world.launcher.exit(job_name("coding", second.task_id))
    world.clock.advance(40)
    assert [second.task_id] == await world.run_jobs(), "a second launch is not held back either"
    await finish(world, second, B)

    assert [f"coding-42-7-n{early.event.note_id}-p2"] == await world.run_jobs()


async def test_questions_never_wait(world):
    first = await world.say(FIRST)
    asked = await world.say("/copilot ask why?")

    assert {first.task_id, asked.task_id} == set(await world.run_jobs())


async def test_other_branches_never_wait(world):
    first = await world.say(FIRST)
    other = world.gitlab.add_merge_request(
        msgspec.structs.replace(world.mr.merge_request.diff_refs), iid=8, source_branch="other"
    )
    world.aged(other)
    record = await world.note(SECOND, held=other)
    await world.deliver(record)

    assert {first.task_id, world.requests()[-1].task_id} == set(await world.run_jobs())


async def test_two_merge_requests_of_one_branch_share_its_turns(world):
    first = await world.say(FIRST)
    other = world.gitlab.add_merge_request(
        world.mr.merge_request.diff_refs, iid=8, target_branch="release"
    )
    world.aged(other)
    await world.deliver(await world.note(SECOND, held=other))
    second = world.requests()[-1]
    assert [first.task_id] == await world.run_jobs()
    world.gitlab.push(other, B, created_at=world.clock.now())

    await finish(world, first, B)

    assert [f"{second.task_id}-p2"] == await world.run_jobs()
    assert ("8", B) == (world.requests()[-1].ref, world.requests()[-1].head_sha)


async def test_a_command_during_our_push_waits_for_the_word_about_it(world):
    """The branch has our commit already, the log does not know yet that it is ours."""
    first = await world.say(FIRST)
    await world.run_jobs()
    await world.deliver(await world.proposed(first))
    record = await world.note(SECOND)
    world.clock.advance(5)
    world.gitlab.push(world.mr, B, created_at=world.clock.now())
    await world.deliver(record)
    second = world.requests()[-1]
    assert A == second.head_sha
    world.launcher.running.clear()
    assert [] == await world.run_jobs()

    await world.deliver(await world.told(first, B))

    assert [f"{second.task_id}-p2"] == await world.run_jobs()
    assert B == world.requests()[-1].head_sha


async def test_a_command_read_late_is_pinned_to_our_own_newer_commit_at_once(world):
    first, record = await world.say(FIRST), await world.note(SECOND)
    await world.run_jobs()
    world.clock.advance(5)
    await finish(world, first, B)

    await world.deliver(record)

    second = world.requests()[-1]
    assert ("second", B) == (second.instruction, second.head_sha)
    assert [second.task_id] == await world.run_jobs()


async def test_a_pin_read_just_before_our_push_never_starts(world):
    """The request came into the log after the publication, with the head from before."""
    first = await world.say(FIRST)
    record = await world.note(SECOND)
    await world.run_jobs()
    await finish(world, first, B)
    late = msgspec.structs.replace(
        first,
        task_id=f"coding-42-7-n{record.event.note_id}",
        asked_in=msgspec.structs.replace(first.asked_in, note_id=record.event.note_id),
        instruction="second",
    )
    await world.append(subjects.task_requested(42, 7, late.task_id), late)
    assert [] == await world.run_jobs()

    await world.deliver(record)

    assert [f"{late.task_id}-p2"] == await world.run_jobs()


async def test_gitlab_that_does_not_show_our_commit_yet_is_waited_for(world):
    first, second = await world.say(FIRST), await world.say(SECOND)
    await world.run_jobs()
    await world.proposed(first)
    told = await world.told(first, B)

    with pytest.raises(Temporary, match="our own last commit"):
        await on_event(told, ports=world.ports())
    world.gitlab.push(world.mr, B, created_at=world.clock.now())
    await world.deliver(told)

    assert isinstance(world.result(second), Superseded)
    assert B == world.requests()[-1].head_sha


async def test_closing_ends_code_that_waits_or_runs_but_no_question(world):
    first, second = await world.say(FIRST), await world.say(SECOND)
    asked = await world.say("/copilot ask why?")
    await world.run_jobs()

    await world.deliver(await world.closed())
    running = await world.run_jobs()

    assert [asked.task_id] == running
    closed = "the merge request was closed"
    assert [closed, closed] == [world.result(one).by for one in (first, second)]


@pytest.mark.parametrize(
    ("change", "code"),
    [({"state": "merged"}, "closed"), ({"source_branch": "gone"}, "no_branch")],
)
async def test_a_turn_that_comes_too_late_is_refused(world, change, code):
    first, second = await world.say(FIRST), await world.say(SECOND)
    await world.run_jobs()
    await world.proposed(first)
    told = await world.published(first, B)
    world.gitlab.change(world.mr, **change)

    await world.deliver(told)

    assert code == world.result(second).code


async def test_a_branch_protected_meanwhile_is_not_pushed_to(world):
    """SR-07, SR-35: at the turn, not only when the command was given."""
    first, second = await world.say(FIRST), await world.say(SECOND)
    await world.run_jobs()
    await world.proposed(first)
    world.gitlab.protected[42] = ["topic"]

    await world.deliver(await world.published(first, B))

    assert "protected" == world.result(second).code


async def test_a_change_that_nobody_ever_publishes_does_not_hold_the_branch_for_ever(world):
    first = await world.say(FIRST)
    await world.run_jobs()
    await world.proposed(first)
    world.launcher.running.clear()
    world.clock.advance(7 * 3600)

    second = await world.say(SECOND)

    assert [second.task_id] == await world.run_jobs()


async def test_a_command_refused_while_somebody_asks_it_again_does_not_run(world):
    """Two replicas, and a push by a person between what they saw."""
    first, second = await world.say(FIRST), await world.say(SECOND)
    await world.run_jobs()
    await world.proposed(first)
    told = await world.published(first, B)
    fuse = Fuse(kill_at=1, after=True)
    with pytest.raises(Killed):
        await on_event(told, ports=world.ports(fuse))
    again = world.requests()[-1]
    assert f"{second.task_id}-p2" == again.task_id
    refused = Refused(task_id=second.task_id, head_sha=second.head_sha, code="moved")
    await world.ended(second, refused)
    world.launcher.running.clear()
    assert [] == await world.run_jobs()

    await world.deliver(told)

    assert world.result(again).quiet
    assert [] == await world.run_jobs()


# --- crashes and repeats -----------------------------------------------------------------


async def tell(world: World, fuse: Fuse | None) -> list[tuple[str, str]]:
    """Three commands at once, from the notes to the last commit; the process may die once.

    Every event is delivered again and again until nothing new comes of it.
    """
    for text in (FIRST, SECOND, THIRD):
        await world.note(text)
    commits: list[tuple[str, str]] = []
    shas = iter((B, C, E_, F, "1" * 40))
    for _ in range(8):
        await _deliver_all(world, fuse)
        await _deliver_all(world, None)
        running = await world.run_jobs()
        assert len(running) <= 1, running
        for request in world.requests():
            if request.task_id in running:
                assert world.gitlab.branches[42, "topic"].sha == request.head_sha, "a stale pin ran"
                world.launcher.running.clear()
                await world.proposed(request)
                sha = next(shas)
                await world.published(request, sha)
                commits.append((request.instruction, sha))
    return commits


async def _deliver_all(world: World, fuse: Fuse | None) -> None:
    seen = 0
    while seen < len(world.log.events):
        record: Recorded = world.log.events[seen]
        with contextlib.suppress(Killed):
            await on_event(record, ports=world.ports(fuse))
        seen += 1


async def test_killed_between_any_two_effects_three_commands_give_three_commits_in_order():
    probe = Fuse()
    expected = await tell(World(), probe)
    assert [("first", B), ("second", C), ("third", E_)] == expected
    assert probe.count > 15

    for kill_at in range(1, probe.count + 1):
        for after in (False, True):
            world = World()
            where = (kill_at, after, probe.names[kill_at - 1])
            assert expected == await tell(world, Fuse(kill_at=kill_at, after=after)), where
            ends = [type(world.result(request)) for request in world.requests()]
            assert 3 == ends.count(ChangesProposed), where
            assert ends.count(Superseded) == len(ends) - 3, where


async def test_every_task_of_that_story_has_one_end_and_one_publication():
    world = World()
    await tell(world, None)

    published = [r.event.task_id for r in world.log.events if isinstance(r.event, TaskPublished)]
    assert len(set(published)) == len(published) == 3
    assert {r.task_id for r in world.results()} == {r.task_id for r in world.requests()}


@pytest.mark.parametrize(
    ("task_id", "number", "following_id"),
    [
        ("coding-42-7-n1", 1, "coding-42-7-n1-p2"),
        ("coding-42-7-n1-p2", 2, "coding-42-7-n1-p3"),
        ("coding-P-7-p2x", 1, "coding-P-7-p2x-p2"),
    ],
)
def test_the_part_of_an_id_counts_how_often_it_was_asked(task_id, number, following_id):
    assert (number, following_id) == (part(task_id), following(task_id))

"""Commands and issues that an operator replays: once more, and never a second commit."""

from __future__ import annotations

import pytest

from libs.common import replaying
from libs.common.events.envelope import NewEvent, Recorded
from libs.common.events.tasks import Refused, TaskFailed
from tests.unit.coder.world import B, C, World

CODE = "/copilot add a test"


@pytest.fixture
def world() -> World:
    return World()


async def replayed(world: World, record: Recorded, replay: str = "night") -> Recorded:
    """As `gca replay` appends it."""
    await world.log.append(
        NewEvent(
            subject=record.subject,
            event=record.event,
            message_id=replaying.message_id(replay, record.message_id),
            source="gca",
            time=world.clock.now(),
            causation_id=record.message_id,
            replay_of=record.message_id,
        )
    )
    again = await world.log.last(record.subject)
    assert again is not None
    return again


async def failed(world: World, number: int = -1) -> None:
    request = world.requests()[number]
    end = TaskFailed(task_id=request.task_id, head_sha=request.head_sha, reason="model")
    await world.deliver(await world.ended(request, end))
    await world.deliver(await world.told(request))


async def test_a_command_that_failed_runs_once_more_under_the_name_of_the_replay(world):
    note = await world.note(CODE)
    await world.deliver(note)
    await failed(world)

    again = await replayed(world, note)
    await world.deliver(again)
    await world.deliver(again)

    first, second = world.requests()
    assert f"{first.task_id}-rnight" == second.task_id
    assert (first.instruction, first.push) == (second.instruction, second.push)
    assert [second.task_id] == await world.run_jobs()


async def test_a_command_with_its_commit_is_never_done_again(world):
    note = await world.note(CODE)
    await world.deliver(note)
    [request] = world.requests()
    await world.deliver(await world.proposed(request))
    await world.deliver(await world.published(request, B))

    await world.deliver(await replayed(world, note))

    assert [request] == world.requests()


@pytest.mark.parametrize("proposed", [False, True])
async def test_a_command_on_its_way_is_left_alone(world, proposed):
    note = await world.note(CODE)
    await world.deliver(note)
    [request] = world.requests()
    if proposed:
        await world.deliver(await world.proposed(request))

    await world.deliver(await replayed(world, note))

    assert [request] == world.requests()


async def test_a_command_that_nobody_ever_handled_gets_its_first_task(world):
    note = await world.note(CODE)

    await world.deliver(await replayed(world, note))
    await world.deliver(note)

    assert [f"coding-42-7-n{note.event.note_id}"] == [r.task_id for r in world.requests()]


async def test_a_command_older_than_a_day_never_runs(world):
    note = await world.note(CODE)
    world.clock.advance(24 * 3600)

    await world.deliver(await replayed(world, note))

    assert [] == world.requests()


async def test_a_question_is_asked_again_only_without_an_answer(world):
    note = await world.note("/copilot ask why?")
    await world.deliver(note)
    await failed(world)

    await world.deliver(await replayed(world, note))

    assert f"ask-42-7-n{note.event.note_id}-rnight" == world.requests()[-1].task_id


async def test_a_replay_is_refused_like_any_command_when_the_role_is_gone(world):
    note = await world.note(CODE)
    await world.deliver(note)
    await failed(world)
    world.gitlab.members.clear()

    await world.deliver(await replayed(world, note))

    assert ["TaskFailed", "Refused"] == [type(result).__name__ for result in world.results()]
    assert world.requests()[-1].task_id.endswith("-rnight")


async def test_two_replays_at_one_moment_make_one_commit(world):
    note = await world.note(CODE)
    await world.deliver(note)
    await failed(world)
    one, other = await replayed(world, note, "one"), await replayed(world, note, "other")
    # Both decide before the other's request can be seen, as two replicas may.
    history = await world.log.history("*.*.42.7.>")
    await world.deliver(one)
    twin = world.requests()[-1]
    hidden = HiddenTask(world.log, twin.task_id)
    world.log = hidden
    await world.deliver(other)
    world.log = hidden.inner
    assert len(world.requests()) == 3, history

    assert [twin.task_id] == await world.run_jobs()
    await world.deliver(await world.proposed(twin))
    await world.deliver(await world.published(twin, C))

    [end] = [r for r in world.results() if r.task_id.endswith("-rother")]
    assert isinstance(end, Refused)
    assert end.quiet
    assert 3 == len(world.requests())


class HiddenTask:
    """A log that does not show one task yet."""

    def __init__(self, inner, task_id: str) -> None:
        self.inner = inner
        self.events = inner.events
        self._task_id = task_id

    def __getattr__(self, name: str):
        return getattr(self.inner, name)

    async def history(self, *filters: str) -> list[Recorded]:
        found = await self.inner.history(*filters)
        return [r for r in found if getattr(r.event, "task_id", "") != self._task_id]


async def test_a_replay_makes_no_pin_fresh_that_was_stale(world):
    first, note = await world.note(CODE), await world.note(CODE)
    await world.deliver(first)
    await world.deliver(note)
    one, two = world.requests()
    await world.deliver(await world.proposed(one))
    published = await world.published(one, B)
    again = await replayed(world, note)

    await world.deliver(published)
    await world.deliver(again)

    world.aged(world.mr)
    assert f"{two.task_id}-p2" == world.requests()[-1].task_id


async def test_an_issue_without_a_merge_request_gets_another_try_on_the_free_branch(world):
    ready = await world.ready()
    await world.deliver(ready)
    await failed(world)

    await world.deliver(await replayed(world, ready))

    first, second = world.requests()
    assert f"{first.task_id}-rnight" == second.task_id
    assert "agent/SHOP-12" == second.push.branch


async def test_an_issue_with_its_merge_request_gets_no_second_one(world):
    ready = await world.ready()
    await world.deliver(ready)
    [request] = world.requests()
    await world.deliver(await world.proposed(request))
    await world.deliver(await world.told(request, B))

    await world.deliver(await replayed(world, ready))

    assert [request] == world.requests()


async def test_two_replays_of_an_issue_at_one_moment_run_one_after_the_other(world):
    ready = await world.ready()
    await world.deliver(ready)
    await failed(world)
    one, other = await replayed(world, ready, "one"), await replayed(world, ready, "other")
    await world.deliver(one)
    twin = world.requests()[-1]
    world.gitlab.set_branch(42, "agent/SHOP-12", B)
    hidden = HiddenTask(world.log, twin.task_id)
    world.log = hidden
    await world.deliver(other)
    world.log = hidden.inner

    assert ["agent/SHOP-12", "agent/SHOP-12-2"] == [r.push.branch for r in world.requests()[1:]]
    assert [twin.task_id] == await world.run_jobs()
    await world.deliver(await world.proposed(twin))
    await world.deliver(await world.told(twin, C))

    [end] = [r for r in world.results() if r.task_id.endswith("-rother")]
    assert isinstance(end, Refused)
    assert 1 == len({event.commit_sha for event in commits(world)})


def commits(world: World) -> list:
    return [r.event for r in world.log.events if getattr(r.event, "commit_sha", "")]

"""The task door from the Job's side: bounded retries, refusals that are final, no redirects."""

from __future__ import annotations

import msgspec
import pytest

from libs.common.clock import SystemClock
from libs.common.events.tasks import TaskFailed
from services.runner.door import NoTaskDoor, ResultRefused, TaskDoor
from tests.fakes.task_door import running_task_door
from tests.unit.runner.test_prompt import spec


def soon(seconds: float) -> float:
    return SystemClock().now().timestamp() + seconds


def client(door, token="task-token") -> TaskDoor:
    return TaskDoor(door.url, token, clock=SystemClock())


def failure() -> TaskFailed:
    return TaskFailed(task_id=spec().task_id, head_sha=spec().head_sha, reason="model")


async def test_the_spec_is_fetched_whole():
    async with running_task_door(spec()) as door:
        assert await client(door).fetch(soon(5)) == spec()


async def test_a_result_is_taken_and_a_second_time_the_same_is_well():
    async with running_task_door(spec()) as door:
        for _ in range(2):
            await client(door).hand_in(failure(), soon(5))

    assert door.results[0] == failure()


@pytest.mark.parametrize("moods", [[], [503]])
async def test_a_result_of_megabytes_is_sent_whole_also_the_second_time(moods):
    large = msgspec.structs.replace(failure(), detail="x" * 3_000_000)
    async with running_task_door(spec()) as door:
        door.moods = list(moods)
        await client(door).hand_in(large, soon(20))

    assert door.results == [large]


@pytest.mark.parametrize("moods", [[503], [500, 502], [429], [408]])
async def test_a_door_that_is_away_for_a_while_is_asked_again(moods):
    async with running_task_door(spec()) as door:
        door.moods = list(moods)
        await client(door).hand_in(failure(), soon(20))

    assert door.results == [failure()]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422])
async def test_a_refusal_is_final_and_asked_once(status):
    """SR-22."""
    async with running_task_door(spec()) as door:
        door.moods = [status]
        with pytest.raises(ResultRefused, match=f"HTTP {status}: in a mood"):
            await client(door).hand_in(failure(), soon(20))

    assert door.asked == ["POST"]


@pytest.mark.parametrize("status", [301, 302, 307])
async def test_a_redirect_is_not_followed_since_it_would_carry_the_token(status):
    """SR-37."""
    async with running_task_door(spec()) as door:
        door.moods = [status, status]
        with pytest.raises(NoTaskDoor, match="redirect"):
            await client(door).fetch(soon(5))
        with pytest.raises(NoTaskDoor, match="redirect"):
            await client(door).hand_in(failure(), soon(5))


async def test_a_wrong_token_gets_no_spec():
    async with running_task_door(spec()) as door:
        with pytest.raises(NoTaskDoor, match="HTTP 401"):
            await client(door, token="wrong").fetch(soon(5))


async def test_retries_end_at_the_deadline():
    async with running_task_door(spec()) as door:
        door.moods = [503] * 1000
        with pytest.raises(NoTaskDoor, match="no contact with the task door"):
            await client(door).hand_in(failure(), soon(1))


async def test_what_is_no_spec_is_said():
    async with running_task_door(spec()) as door:
        door.moods = [200]
        with pytest.raises(NoTaskDoor, match="the spec cannot be read"):
            await client(door).fetch(soon(5))

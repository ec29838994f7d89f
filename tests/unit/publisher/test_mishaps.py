"""What a person hears of a dead letter: one short note, whatever comes twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from libs.common.events.envelope import TRACEPARENT
from libs.common.gitlab.errors import Forbidden, Unavailable
from libs.common.jetstream import dead_letters
from libs.common.jetstream.letters import DeadLetter, Fate, read
from libs.common.jetstream.reading import Stored
from services.publisher import plan
from services.publisher.mishap_words import body, concern
from services.publisher.mishaps import Mishaps
from tests.unit.publisher.asked import from_note
from tests.unit.publisher.world import HEAD, TASK, Fuse, Killed, World, review

OPENED = f"mr.opened.42.7.{HEAD[:16]}"
RESULT = f"task.result.42.7.{TASK}"


class MemoryLetters:
    """DEAD_LETTERS in memory."""

    def __init__(self, world: World) -> None:
        self._clock = world.clock
        self.letters: list[Stored] = []
        self.fates: dict[int, Fate] = {}

    def add(self, service: str, subject: str, reason: str = "it broke") -> None:
        headers = {
            dead_letters.REASON: reason,
            dead_letters.ATTEMPTS: "6",
            dead_letters.SEQ: "1",
            TRACEPARENT: "",
        }
        self.letters.append(
            Stored(
                subject=f"dead.{service}.{subject}",
                seq=len(self.letters) + 1,
                time=self._clock.now(),
                headers=headers,
                body=b"{}",
            )
        )

    async def since(self, moment: datetime) -> AsyncIterator[Stored]:
        for stored in self.letters:
            if stored.time >= moment:
                yield stored

    async def fate(self, letter: DeadLetter) -> Fate | None:
        return self.fates.get(letter.id)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def letters(world: World) -> MemoryLetters:
    return MemoryLetters(world)


async def look(world: World, letters: MemoryLetters, fuse: Fuse | None = None) -> None:
    """As a process that was started anew."""
    await Mishaps(letters, world.kv, world.ports(fuse)).look()


def notes(world: World) -> list[str]:
    me = world.gitlab.me.id
    return [n.body for d in world.mr.discussions for n in d.notes if n.author_id == me]


@pytest.mark.parametrize(
    ("service", "subject", "work"),
    [
        ("reviewer", OPENED, f"the review of `{HEAD[:8]}`"),
        ("reviewer", f"retry.reviewer.{OPENED}", f"the review of `{HEAD[:8]}`"),
        ("coder", "note.command.42.7.9", "what [this note](#note_9) asks for"),
        ("publisher", RESULT, f"what task `{TASK}` brought"),
    ],
)
async def test_the_merge_request_gets_one_note_with_the_number_of_the_letter(
    world, letters, service, subject, work
):
    letters.add(service, subject)

    for _ in range(2):
        await look(world, letters)

    [note] = notes(world)
    assert f"so {work} was given up" in note
    assert "gca dead-letters show 1" in note


async def test_sr_37_the_reason_is_for_operators_and_not_in_the_note(world, letters):
    letters.add("reviewer", OPENED, "token glpat-canary was refused")

    await look(world, letters)

    [note] = notes(world)
    assert "canary" not in note


async def test_an_issue_gets_one_comment(world, letters):
    key, number = world.issue.rsplit("-", 1)
    letters.add("coder", f"jira.ready.{key}.{number}.10457")

    for _ in range(2):
        await look(world, letters)

    [comment] = world.jira.written[world.issue]
    assert "the work for this issue was given up" in comment.body
    assert "*" not in comment.body


@pytest.mark.parametrize(
    ("service", "subject"),
    [
        ("reviewer", "mr.closed.42.7.merged"),
        ("reviewer", RESULT),
        ("coder", OPENED),
        ("publisher", f"task.requested.42.7.{TASK}"),
        ("publisher", "task.result.doctor.0.echo-doctor-0-1"),
        ("reviewer", "mr.opened.42.7.not_a_head"),
        ("reviewer", "mr.opened.42"),
        ("reviewer", "mr.opened.42.x.aaaaaaaaaaaaaaaa"),
    ],
)
async def test_what_nobody_waits_for_is_not_told(world, letters, service, subject):
    letters.add(service, subject)

    await look(world, letters)

    assert [] == notes(world)
    assert [] == world.gitlab.calls


async def test_one_event_that_two_services_gave_up_is_told_once(world, letters):
    letters.add("reviewer", "note.command.42.7.9")
    letters.add("coder", "note.command.42.7.9")
    letters.add("coder", "retry.coder.note.command.42.7.9")

    await look(world, letters)

    assert 1 == len(notes(world))


@pytest.mark.parametrize("change", [{"state": "merged"}, {"sha": "c" * 40}])
async def test_a_review_that_nobody_needs_any_more_is_not_spoken_of(world, letters, change):
    letters.add("reviewer", OPENED)
    world.gitlab.change(world.mr, **change)

    await look(world, letters)

    assert [] == notes(world)


async def test_what_was_retried_dropped_or_published_meanwhile_is_not_spoken_of(world, letters):
    letters.add("reviewer", OPENED)
    letters.fates[1] = Fate(what="retried", at=world.clock.now())
    request = await world.requested()
    await world.deliver(await world.ended(review(), request))
    before = notes(world)
    letters.add("publisher", RESULT)

    await look(world, letters)

    assert before == notes(world)


async def test_a_letter_of_yesterday_is_history(world, letters):
    letters.add("reviewer", OPENED)
    world.clock.advance(timedelta(hours=25).total_seconds())

    await look(world, letters)

    assert [] == notes(world)


async def test_while_gitlab_is_away_nothing_is_forgotten(world, letters):
    letters.add("reviewer", OPENED)
    world.gitlab.fail_next.append(Unavailable("GitLab answers 502"))
    await look(world, letters)
    assert [] == notes(world)

    await look(world, letters)

    assert 1 == len(notes(world))


async def test_one_that_waits_keeps_no_other_back_and_is_told_later(world, letters):
    letters.add("reviewer", OPENED)
    letters.add("coder", "note.command.42.7.9")
    mishaps = Mishaps(letters, world.kv, world.ports())
    world.gitlab.fail_next.append(Unavailable("this merge request answers 500"))
    await mishaps.look()
    assert ["#note_9"] == [note[note.index("#note_9") :][:7] for note in notes(world)]

    await mishaps.look()
    assert 1 == len(notes(world)), "its turn has not come yet"
    world.clock.advance(60)
    await mishaps.look()

    assert 2 == len(notes(world))
    world.gitlab.calls.clear()
    await mishaps.look()
    assert [] == world.gitlab.calls


async def test_one_that_waits_is_found_again_after_a_restart(world, letters):
    letters.add("reviewer", OPENED)
    world.clock.advance(1)
    letters.add("coder", "note.command.42.7.9")
    world.gitlab.fail_next.append(Unavailable("this merge request answers 500"))
    await look(world, letters)
    assert 1 == len(notes(world))

    for _ in range(2):
        await look(world, letters)

    assert 2 == len(notes(world))


async def test_while_gitlab_is_away_a_look_ends_soon(world, letters):
    for number in range(9):
        letters.add("coder", f"note.command.42.7.{number + 1}")
    world.gitlab.fail_next += [Unavailable("GitLab answers 502")] * 9
    mishaps = Mishaps(letters, world.kv, world.ports())

    for asked in (3, 6, 9):
        with pytest.raises(Unavailable):
            await mishaps.look()
        assert 9 - asked == len(world.gitlab.fail_next)

    world.clock.advance(60)
    await mishaps.look()
    assert 9 == len(notes(world))


async def test_one_that_gitlab_refuses_keeps_no_other_back(world, letters):
    letters.add("reviewer", OPENED)
    letters.add("coder", "note.command.42.7.9")
    world.gitlab.fail_next.append(Forbidden("no right"))

    await look(world, letters)

    [note] = notes(world)
    assert "#note_9" in note


async def test_a_note_that_is_told_is_not_looked_at_again(world, letters):
    letters.add("reviewer", OPENED)
    mishaps = Mishaps(letters, world.kv, world.ports())
    await mishaps.look()
    world.gitlab.calls.clear()

    await mishaps.look()

    assert [] == world.gitlab.calls


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_kill_at_any_effect_leaves_one_note(when):
    for kill_at in range(1, 12):
        world = World()
        letters = MemoryLetters(world)
        letters.add("reviewer", OPENED)
        fuse = Fuse(kill_at=kill_at, when=when)
        try:
            await look(world, letters, fuse)
        except Killed:
            await look(world, letters)
        assert 1 == len(notes(world)), (kill_at, fuse.names)


async def test_the_loop_ends_when_it_is_told_to(world, letters):
    letters.add("reviewer", OPENED)
    stopping = asyncio.Event()
    running = asyncio.create_task(Mishaps(letters, world.kv, world.ports()).run(stopping))
    async with asyncio.timeout(5):
        while not notes(world):  # noqa: ASYNC110  # the fake sets no event
            await asyncio.sleep(0)
        stopping.set()
        await running


async def test_such_a_note_is_no_thread_of_a_review(world, letters):
    letters.add("reviewer", OPENED)
    await look(world, letters)

    assert plan.Ours() == plan.ours(world.mr.discussions, world.gitlab.me.id)


async def test_sr_28_a_marker_in_somebody_elses_note_silences_nothing(world, letters):
    letters.add("reviewer", OPENED)
    letter = read(letters.letters[0])
    world.gitlab.comment(world.mr, body(letter, concern(letter)))
    from_note(world)

    await look(world, letters)

    assert 1 == len(notes(world))

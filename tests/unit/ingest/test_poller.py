"""The poller with a GitLab, a log, a lease and a bucket in memory, one look after the other."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest
from structlog.testing import capture_logs

from libs.common import subjects
from libs.common.errors import AgentError, Temporary
from libs.common.events.envelope import NewEvent, Recorded
from libs.common.events.facts import MrOpened
from libs.common.events.log import Appended
from libs.common.gitlab.changed import Where
from libs.common.gitlab.errors import (
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    TimedOut,
    Unauthorized,
    Unavailable,
)
from libs.common.jetstream.leases import Leases
from services.ingest.leased_polling import LEASE_SECONDS, RETRY_SECONDS
from services.ingest.notes import Agent
from services.ingest.poller import LEASE
from services.ingest.polling import MOST_TRIES, Mark
from services.ingest.watermarks import key
from tests.fakes.clock import FakeClock
from tests.fakes.log import MemoryLog
from tests.unit.ingest.polling_world import SHOP, A, B, World

OPENED_A, OPENED_B = f"mr.opened.42.7.{A[:16]}", f"mr.opened.42.7.{B[:16]}"


async def test_a_merge_request_that_no_hook_told_is_one_event() -> None:
    world = World()
    world.gitlab.open()
    await world.looks(4)
    assert [OPENED_A] == world.subjects()
    [event] = world.log.events
    assert isinstance(event.event, MrOpened)
    assert ("poll", "ingest/gitlab") == (event.event.why, event.source)
    assert event.traceparent


async def test_what_a_hook_told_is_not_told_again() -> None:
    world = World()
    world.gitlab.open()
    world.log.events.clear()
    first = World(log=world.log, clock=world.clock)
    first.gitlab.open()
    await first.look()
    await world.looks(3)
    assert [OPENED_A] == world.subjects()


async def test_a_force_push_and_back_is_three_events_and_close_and_reopen_two_more() -> None:
    world = World()
    world.gitlab.open()
    await world.look()
    for changed in ({"sha": B}, {"sha": A}, {"state": "closed"}, {"state": "opened"}):
        world.clock.advance(120)
        world.gitlab.change(**changed)
        await world.looks(2)
    expected = [OPENED_A, OPENED_B, OPENED_A, "mr.closed.42.7.closed", OPENED_A]
    assert expected == world.subjects()
    assert len({event.message_id for event in world.log.events}) == 5


async def test_a_command_is_one_event_by_poller_and_restarted_poller() -> None:
    world = World()
    world.gitlab.open()
    note_id = world.gitlab.comment("/copilot review")
    world.gitlab.comment("nice work")
    await world.looks(2)
    await world.look(world.another())
    assert [OPENED_A, f"note.command.42.7.{note_id}"] == world.subjects()


async def test_a_command_that_moves_no_updated_at_is_found() -> None:
    """GitLab touches a merge request once a minute at most, so the second note leaves no trace."""
    for seconds in range(0, 61, 5):
        world = World()
        world.gitlab.open()
        await world.look()
        world.clock.advance(seconds)
        before = world.gitlab.rows[42, 7].updated_at
        note_id = world.gitlab.comment("/copilot review")
        assert before == world.gitlab.rows[42, 7].updated_at
        world.clock.advance(7)
        await world.looks(4)
        assert f"note.command.42.7.{note_id}" in world.subjects(), seconds


async def test_commands_older_than_a_day_never_run() -> None:
    world = World()
    world.gitlab.open()
    old = world.ago(hours=25)
    world.gitlab.comment("/copilot review", created_at=old, updated_at=old)
    ages_ago = world.ago(days=3)
    await world.marks.advance(SHOP, Mark(through=ages_ago, complete=ages_ago))
    await world.look()
    assert [OPENED_A] == world.subjects()


async def test_the_first_look_reaches_back_an_hour() -> None:
    world = World()
    world.gitlab.open(7, updated_at=world.ago(minutes=59))
    world.gitlab.open(8, updated_at=world.ago(minutes=62))
    await world.look()
    assert [OPENED_A] == world.subjects()


async def test_what_happens_while_nobody_looks_is_found_later() -> None:
    world = World()
    world.gitlab.open()
    await world.looks(3)
    world.clock.advance(7200)
    note_id = world.gitlab.comment("/copilot review")
    world.clock.advance(7200)
    await world.look(world.another())
    assert f"note.command.42.7.{note_id}" in world.subjects()


async def test_open_merge_requests_that_rest_cost_nothing() -> None:
    """1,000 projects in a group: one call a look, with 10 open merge requests or with 5,000."""
    for number in (10, 5000):
        world = World()
        world.gitlab.projects = {n: f"shop/p{n}" for n in range(1000)}
        for n in range(number):
            world.gitlab.open(1 + n, project_id=n % 1000, updated_at=world.ago(days=2))
        await world.quiet()
        await world.looks(3)
        assert ["changed group shop"] * 3 == world.gitlab.calls


async def test_only_merge_requests_that_changed_are_looked_into() -> None:
    world = World()
    for iid in range(1, 50):
        world.gitlab.open(iid)
    await world.quiet()
    world.gitlab.change(3, sha=B)
    await world.look()
    assert ["changed group shop", "notes 42!3"] == world.gitlab.calls


class QuickLog(MemoryLog):
    """Finds the events of a merge request without reading all others."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self._of: dict[str, list[Recorded]] = {}

    async def append(self, new: NewEvent) -> Appended:
        stored = self._store(new)
        self._of.setdefault(subjects.scope_and_ref(new.subject)[1], []).append(stored)
        return Appended(seq=stored.seq)

    async def history(self, *filters: str) -> list[Recorded]:
        return self._of.get(subjects.scope_and_ref(filters[0])[1], [])


async def test_5000_merge_requests_at_once_are_looked_into_in_several_looks() -> None:
    clock = FakeClock()
    world = World(clock=clock, log=QuickLog(clock))
    moment = world.gitlab.now()
    for iid in range(1, 5001):
        world.gitlab.open(iid, updated_at=moment)
    # GitLab shows 100 a page, and all of them changed in the same moment.
    world.clock.advance(70)
    looks = 0
    with capture_logs():
        while world.poller.is_behind or not looks:
            assert await world.look() is None
            looks += 1
    assert 5000 == len(set(world.subjects())) == len(world.log.events)
    assert looks == 10
    await world.quiet()
    await world.look()
    assert ["changed group shop"] == world.gitlab.calls


async def test_rows_that_move_while_pages_are_read_are_not_lost() -> None:
    world = World()
    for iid in range(1, 351):
        world.gitlab.open(iid, updated_at=world.ago(seconds=3000 - iid))

    def move(page: int) -> None:
        """What was on the pages before goes to the end, as its rows are changed."""
        if page > 1:
            for iid in range(page * 10, page * 10 + 5):
                world.gitlab.change(iid)

    world.gitlab.before_page = move
    await world.look()
    assert {f"mr.opened.42.{iid}.{A[:16]}" for iid in range(1, 351)} == set(world.subjects())


async def test_the_mark_moves_only_over_what_is_in_the_log() -> None:
    world = World()
    for iid in (1, 2, 3):
        world.clock.advance(1)
        world.gitlab.open(iid)
    world.clock.advance(100)
    world.gitlab.fail["notes 42!2"] = [RateLimited("429", delay=9)]
    assert isinstance(await world.look(), RateLimited)
    mark = await world.mark()
    assert mark is not None
    assert world.gitlab.rows[42, 1].updated_at == mark.through
    assert await world.look(world.another()) is None
    assert len(world.log.events) == 3
    mark = await world.mark()
    assert mark == Mark(through=world.gitlab.now(), complete=world.gitlab.now())


async def test_a_log_that_is_away_loses_nothing() -> None:
    world = World()
    world.gitlab.open()
    note_id = world.gitlab.comment("/copilot review")
    for _ in range(3):
        world.log.fail_next = [Temporary("NATS is away", peer="nats")]
        assert isinstance(await world.look(), Temporary)
    await world.look()
    assert [OPENED_A, f"note.command.42.7.{note_id}"] == world.subjects()


async def test_a_mark_of_a_replica_that_went_further_is_kept() -> None:
    world = World()
    far = Mark(through=world.ago(seconds=-60), complete=world.ago(seconds=-60))
    await world.marks.advance(SHOP, far)
    await world.marks.advance(SHOP, Mark(through=world.ago(hours=1), complete=world.ago(hours=1)))
    assert far == await world.mark()


async def test_a_mark_from_the_future_is_set_back_with_a_line() -> None:
    world = World()
    future = world.ago(days=-300)
    await world.marks.advance(SHOP, Mark(through=future, complete=future))
    world.gitlab.open()
    with capture_logs() as lines:
        await world.look()
    assert [OPENED_A] == world.subjects()
    assert ["a watermark was from the future and is set back"] == [
        line["event"] for line in lines if line["log_level"] == "warning"
    ]
    mark = await world.mark()
    assert mark is not None
    assert mark.through == world.gitlab.now()


async def test_a_mark_that_cannot_be_read_is_made_again() -> None:
    world = World()
    await world.keys.create(key(SHOP), b"{odd")
    world.gitlab.open()
    await world.look()
    assert [OPENED_A] == world.subjects()
    assert await world.mark() is not None


@pytest.mark.parametrize("hours", [-2, -0.05, 0.05, 2])
async def test_gitlab_s_clock_counts(hours: float) -> None:
    world = World()
    world.gitlab.ahead = timedelta(hours=hours)
    await world.look()
    for sha in (A, B):
        world.clock.advance(100)
        if sha == A:
            world.gitlab.open()
        else:
            world.gitlab.change(sha=B)
        await world.looks(3)
    assert [OPENED_A, OPENED_B] == world.subjects()


async def test_a_project_that_is_deleted_between_list_and_look_is_left() -> None:
    world = World()
    world.gitlab.open(7)
    world.gitlab.open(8, sha=B)
    for error in (NotFound("404"), Forbidden("403"), Invalid("400")):
        world.gitlab.fail.setdefault("notes 42!7", []).append(error)
    assert await world.look() is None
    assert f"mr.opened.42.8.{B[:16]}" in world.subjects()
    assert await world.poller.trouble() is None


async def test_a_group_that_refuses_us_is_named_and_hides_no_other() -> None:
    world = World(places=(Where(group="secret"), SHOP))
    world.gitlab.open()
    world.gitlab.fail["changed group secret"] = [
        Forbidden("GitLab answered 403: 403 Forbidden")
    ] * 2
    with capture_logs() as lines:
        for _ in range(2):
            assert await world.look() is None
            assert (
                "group secret: GitLab answered 403: 403 Forbidden" == await world.poller.trouble()
            )
        await world.look()
    assert await world.poller.trouble() is None
    assert [OPENED_A] == world.subjects()
    said = [line["event"] for line in lines if "polled" in line["event"]]
    assert said.count("gitlab cannot be polled") == said.count("gitlab is polled again") == 1


async def test_one_place_that_gitlab_cannot_show_does_not_stop_the_others() -> None:
    world = World(places=(Where(group="slow"), SHOP))
    world.gitlab.open()
    world.gitlab.fail["changed group slow"] = [TimedOut("slow")]
    assert await world.look() is None
    assert [OPENED_A] == world.subjects()


async def test_when_gitlab_takes_no_more_the_next_look_begins_elsewhere() -> None:
    places = tuple(Where(group=name) for name in ("a", "b", "shop"))
    world = World(places=places)
    world.gitlab.open()
    for name in ("a", "b"):
        world.gitlab.fail[f"changed group {name}"] = [RateLimited("429", delay=60)] * 9
    for _ in range(3):
        await world.look()
    assert [OPENED_A] == world.subjects()


async def test_one_merge_request_that_gitlab_cannot_show_is_tried_and_then_passed() -> None:
    world = World()
    world.gitlab.open(1)
    world.clock.advance(1)
    world.gitlab.open(2, sha=B)
    world.clock.advance(100)
    world.gitlab.fail["notes 42!1"] = [Unavailable("500")] * MOST_TRIES
    begin = world.gitlab.rows[42, 1].updated_at
    for _ in range(MOST_TRIES - 1):
        assert await world.look() is None
        mark = await world.mark()
        assert mark is not None
        assert mark.through < begin
    await world.look()
    mark = await world.mark()
    assert mark is not None
    assert mark.through == world.gitlab.now()
    assert f"mr.opened.42.2.{B[:16]}" in world.subjects()


@pytest.mark.parametrize(
    ("error", "is_said"),
    [
        (RateLimited("429", delay=120), False),
        (Unavailable("503"), False),
        (TimedOut("slow"), False),
        (Unauthorized("GitLab refused the token of GITLAB_READ_TOKEN"), True),
        (NotFound("404"), True),
    ],
)
async def test_gitlab_s_refusals_are_said_once_and_healed(
    error: AgentError, *, is_said: bool
) -> None:
    world = World()
    world.gitlab.open()
    with capture_logs() as lines:
        for _ in range(3):
            world.gitlab.fail["changed group shop"] = [error]
            await world.look()
            assert (await world.poller.trouble() is not None) is is_said
        assert await world.look() is None
    assert await world.poller.trouble() is None
    assert [OPENED_A] == world.subjects()
    said = [line["event"] for line in lines if "polled" in line["event"]]
    assert said == ["gitlab cannot be polled", "gitlab is polled again"]


async def test_our_own_mistake_ends_nothing() -> None:
    world = World()
    world.gitlab.open()
    world.gitlab.fail["notes 42!7"] = [ValueError("a bug")]  # type: ignore[list-item]  # on purpose
    with capture_logs() as lines:
        assert isinstance(await world.look(), Temporary)
    assert "polling gitlab failed" in [line["event"] for line in lines]
    assert await world.look() is None
    assert [OPENED_A] == world.subjects()


async def test_before_we_know_who_we_are_nothing_is_passed_over() -> None:
    world = World()
    world.agent = Agent()
    world.gitlab.open()
    note_id = world.gitlab.comment("@gca-bot review")
    assert isinstance(await world.look(), Temporary)
    assert [] == world.gitlab.calls
    world.agent = Agent(username="gca-bot", user_id=99)
    await world.look()
    assert f"note.command.42.7.{note_id}" in world.subjects()


async def test_of_a_list_of_everything_only_what_is_served_counts() -> None:
    world = World(places=(Where(),), projects=("shop/app",))
    world.gitlab.projects[43] = "other/app"
    world.gitlab.open()
    world.gitlab.open(project_id=43)
    await world.look()
    assert [OPENED_A] == world.subjects()
    assert ["changed all projects", "notes 42!7"] == world.gitlab.calls


async def test_without_the_lease_nothing_is_polled_and_stopping_ends_the_wait() -> None:
    world = World()
    world.gitlab.open()
    async with Leases(world.locks, world.clock).held(LEASE):
        loop = asyncio.create_task(world.poller.run(world.stopping))
        for _ in range(20):
            await asyncio.sleep(0)
        world.stopping.set()
        async with asyncio.timeout(5):
            await loop
    assert [] == world.gitlab.calls


async def test_a_replica_that_died_is_replaced_within_30_seconds() -> None:
    world = World()
    world.gitlab.open()
    await Leases(world.locks, world.clock).acquire(LEASE, "dead", ttl=LEASE_SECONDS)
    asked = asyncio.Event()
    world.gitlab.before_page = lambda _: asked.set()
    loop = asyncio.create_task(world.poller.run(world.stopping))
    world.clock.advance(30 - RETRY_SECONDS)
    async with asyncio.timeout(5):
        await asked.wait()
        world.stopping.set()
        await loop


async def test_when_stopping_no_other_merge_request_is_begun_and_the_rest_is_found_later() -> None:
    world = World()
    for iid in range(1, 6):
        world.gitlab.open(iid, updated_at=world.ago(seconds=500 - iid))
    world.gitlab.before_page = lambda _: world.stopping.set()
    await world.look()
    assert ["changed group shop"] == world.gitlab.calls
    world.stopping.clear()
    world.gitlab.before_page = lambda _: None
    await world.look(world.another())
    assert len(world.log.events) == 5


async def test_many_notes_are_read_back_to_the_last_look() -> None:
    world = World()
    world.gitlab.open()
    await world.quiet()
    world.clock.advance(3600)
    commands = [world.gitlab.comment("/copilot review") for _ in range(2)]
    for _ in range(250):
        world.gitlab.comment("me too")
    await world.look()
    assert world.gitlab.calls.count("notes 42!7") == 3
    assert [f"note.command.42.7.{note_id}" for note_id in commands] == world.subjects()[1:]


async def test_a_mark_is_kept_for_each_place() -> None:
    other = Where(project="shop/app")
    world = World(places=(SHOP, other))
    world.gitlab.fail["changed project shop/app"] = [NotFound("404")]
    await world.look()
    known, unknown = await world.mark(), await world.mark(other)
    assert known is not None
    assert unknown is not None
    assert (known.through, unknown.through) == (world.gitlab.now(), world.ago(hours=1))
    assert key(SHOP) != key(Where(project="shop")) != key(Where())
    assert msgspec.json.decode((await world.keys.get(key(SHOP))).value)  # type: ignore[union-attr]  # there

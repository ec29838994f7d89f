"""SR-17: what the user of each service may not do, and what is said when it tries.

That they may do all they need is shown by `test_nats_permissions_system`, and here for what seldom
happens: large bodies, the sweeper, waiting for a slot.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import pytest_asyncio
import structlog

from libs.common.clock import SystemClock
from libs.common.errors import Permanent, Temporary
from libs.common.events.envelope import NewEvent, Recorded
from libs.common.events.tasks import Superseded
from libs.common.jetstream import permissions, reading
from libs.common.jetstream.apply import apply, diff
from libs.common.jetstream.artifacts import Artifacts
from libs.common.jetstream.connecting import connected
from libs.common.jetstream.consumer import Consumer
from libs.common.jetstream.dead_letters import DeadLetters
from libs.common.jetstream.kv import JetStreamKeyValue
from libs.common.jetstream.leases import Leases
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.removals import on_removal
from libs.common.jetstream.settling import ConsumerLimits
from libs.common.jetstream.topology import DEAD_LETTERS, DURABLES, LOCKS, topology
from libs.common.jetstream.unnamed import UnnamedArtifacts
from libs.common.launching.slots import KEYS, Slots
from tests.contract.event_log import opened, result
from tests.fixtures.nats import SMALL, never_closed
from tests.integration.nats_users import ADMIN, RestrictedServer, restricted_server

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]
SERVICES = ("ingest", "reviewer", "coder", "publisher")
STREAMS = tuple(stream.name for stream in topology().streams)
CLIENTS = {user.name: user.clients[0] for user in permissions.users()}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nats(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RestrictedServer]:
    folder = tmp_path_factory.mktemp("nats")
    async with restricted_server(folder, topology(max_bytes=SMALL)) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def empty(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RestrictedServer]:
    """Without any stream, so that what is allowed has no effect."""
    async with restricted_server(tmp_path_factory.mktemp("empty"), None) as server:
        yield server


# --- denied ---------------------------------------------------------------------------

FACTS = ("mr.opened.42.7.aa", "mr.closed.42.7.merged", "note.command.42.7.1", "jira.ready.P.1.2")
TASKS = {
    "task.requested.42.7.review-x": ("reviewer", "coder"),
    "task.result.42.7.review-x": ("ingest", "reviewer", "coder"),
    "task.published.42.7.review-x": ("publisher",),
    "task.requested.doctor.0.echo-x": ("reviewer", "coder", "ops"),
}
KEYS_OF = {
    "$KV.LOCKS.poll.gitlab": ("ingest",),
    "$KV.LOCKS.slot.0": ("reviewer", "coder"),
    "$KV.LOCKS.publish.42.7": ("publisher",),
    "$KV.WATERMARKS.gitlab.x": ("ingest",),
    "$KV.WATERMARKS.hooks.x": ("ingest",),
    "$KV.WATERMARKS.letters.told": ("publisher",),
    "$KV.DEDUP.reviewed.42.7": ("publisher",),
    "$KV.DEDUP.launches.gca-review-x": ("reviewer", "coder"),
    "$KV.DEDUP.turn.42": ("reviewer", "coder"),
    "$KV.DEDUP.spent.user.x": ("reviewer", "coder"),
    "$KV.DEDUP.letter.1.2": ("ops",),
    "$KV.DEDUP.other": (),
    "$O.ARTIFACTS.C.x": ("ingest", "reviewer", "coder"),
    "$O.ARTIFACTS.M.x": ("ingest", "reviewer", "coder"),
}
READS = {
    "EVENTS": (*SERVICES, "ops"),
    "OBJ_ARTIFACTS": (*SERVICES, "ops"),
    "DEAD_LETTERS": ("reviewer", "coder", "ops"),
    "KV_LOCKS": (*SERVICES, "ops"),
    "KV_DEDUP": ("reviewer", "coder", "publisher", "ops"),
    "KV_WATERMARKS": ("ingest", "publisher", "ops"),
}
"""Who may ask for single messages of which stream."""
READS_MUCH = {
    "EVENTS": (*SERVICES, "ops"),
    "OBJ_ARTIFACTS": (*SERVICES, "ops"),
    "DEAD_LETTERS": ("reviewer", "coder", "publisher", "ops"),
}
"""Who may ask for many at once."""
MAKERS = ("topology",)


def of_consumers() -> dict[str, tuple[str, ...]]:
    """Pulling, settling and burying for a durable is for its own service."""
    found: dict[str, tuple[str, ...]] = {}
    for durable in (one.name for one in DURABLES):
        at = f"EVENTS.{durable}"
        found[f"$JS.API.CONSUMER.MSG.NEXT.{at}"] = (durable,)
        found[f"$JS.ACK.{at}.1.1.1.1.0"] = (durable,)
        found[f"dead.{durable}.mr.opened.42.7.aa"] = (durable,)
        found[f"$KV.DEDUP.starts.{durable}.1"] = (durable,)
        found[f"retry.{durable}.mr.opened.42.7.aa"] = ("ops",)
        found[f"$JS.API.CONSUMER.INFO.{at}"] = (durable, "ops", *MAKERS)
        found[f"$JS.API.CONSUMER.CREATE.{at}"] = MAKERS
        found[f"$JS.API.CONSUMER.DELETE.{at}"] = ()
        found[f"$JS.API.CONSUMER.RESET.{at}"] = ()
        found[f"$JS.API.CONSUMER.PAUSE.{at}"] = ()
    return found


def of_streams() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    purgers = {
        "OBJ_ARTIFACTS": ("reviewer", "coder", "ops"),
        "DEAD_LETTERS": ("ops",),
        "EVENTS": ("ops",),
    }
    for stream in STREAMS:
        found[f"$JS.API.STREAM.CREATE.{stream}"] = MAKERS
        found[f"$JS.API.STREAM.UPDATE.{stream}"] = MAKERS
        found[f"$JS.API.STREAM.DELETE.{stream}"] = ()
        found[f"$JS.API.STREAM.MSG.DELETE.{stream}"] = ()
        found[f"$JS.API.STREAM.SNAPSHOT.{stream}"] = ()
        found[f"$JS.API.STREAM.RESTORE.{stream}"] = ()
        found[f"$JS.API.STREAM.PURGE.{stream}"] = purgers.get(stream, ())
        found[f"$JS.API.STREAM.MSG.GET.{stream}"] = READS[stream]
        found[f"$JS.API.DIRECT.GET.{stream}"] = READS_MUCH.get(stream, ("ops",))
        found[f"$JS.API.CONSUMER.CREATE.{stream}"] = ()
        found[f"$JS.API.CONSUMER.CREATE.{stream}.own.mr"] = ()
        found[f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.own"] = ()
    found["$JS.API.STREAM.CREATE.OTHER"] = ()
    found["$JS.API.STREAM.NAMES"] = ()
    found["$JS.API.STREAM.LIST"] = ()
    found["$JS.API.ACCOUNT.PURGE.x"] = ()
    found["$SYS.REQ.SERVER.PING"] = ()
    found["anything"] = ()
    return found


PUBLISHING = (
    dict.fromkeys(FACTS, ("ingest", "ops")) | TASKS | KEYS_OF | of_consumers() | of_streams()
)
"""Subjects, and all users that may publish to them."""
LISTENING = {
    ">": (),
    "mr.>": (),
    "task.>": (),
    "dead.>": (),
    "$JS.>": (),
    "$KV.DEDUP.>": (),
    "$KV.LOCKS.>": (),
    "$KV.LOCKS.slot.*": ("reviewer", "coder"),
    "_INBOX.>": (),
    "*.*.>": (),
    **{
        f"_INBOX_{client}.>": (user.name,)
        for user in permissions.users()
        for client in user.clients
    },
    "$JS.EVENT.ADVISORY.>": (),
    "$SYS.>": (),
}


def denied(allowed: dict[str, tuple[str, ...]], user: str) -> set[str]:
    return {subject for subject, users in allowed.items() if user not in users}


async def test_the_tables_above_have_every_user_and_stream() -> None:
    assert set(permissions.NAMES) == {user.name for user in permissions.users()}
    assert set(STREAMS) == READS.keys()
    named = {user for users in (PUBLISHING | LISTENING).values() for user in users}
    assert set(permissions.NAMES) == named


@pytest.mark.parametrize("user", permissions.NAMES)
async def test_sr_17_a_user_publishes_what_is_its_own_and_nothing_else(
    empty: RestrictedServer, user: str
) -> None:
    """Nothing is asked for: the messages have no reply, no body and no stream that takes them."""
    async with empty.connect(user, CLIENTS[user]) as connection:
        for subject in PUBLISHING:
            await connection.send(subject, b"" if subject.startswith("$JS.API") else b"{}")
        await connection.flush()

    assert denied(PUBLISHING, user) == refused(empty, user, "Publish")


@pytest.mark.parametrize("user", permissions.NAMES)
async def test_sr_17_a_user_hears_its_own_inbox_and_no_other(
    empty: RestrictedServer, user: str
) -> None:
    async def heard(_: Any) -> None:
        pytest.fail("nothing was sent")

    async with empty.connect(user, CLIENTS[user]) as connection:
        for subject in LISTENING:
            await connection.subscribe(subject, heard)
        await connection.flush()

    assert denied(LISTENING, user) == refused(empty, user, "Subscription")


def refused(nats: RestrictedServer, user: str, what: str) -> set[str]:
    """Subjects that the server refused this user, by its own log."""
    return {one.subject for one in nats.violations() if (one.user, one.what) == (user, what)}


@pytest.mark.parametrize("other", [name for name in permissions.NAMES if name != "coder"])
async def test_sr_17_with_the_seed_of_another_service_nothing_is_answered(
    nats: RestrictedServer, other: str
) -> None:
    """The inbox is that of the client's name, which the other user may not hear."""
    async with nats.connect(other, "coder", answer_within=0.3) as connection:
        with pytest.raises(Temporary, match=r"does not let coder subscribe to _INBOX_coder\.>"):
            await connection.api("STREAM.INFO.EVENTS")


async def test_a_stranger_and_a_user_without_a_key_are_not_let_in(nats: RestrictedServer) -> None:
    opening = connected(nats.url, name="x", on_closed=never_closed, patience=1)
    with pytest.raises(Temporary, match="uthorization"):
        await opening.__aenter__()


async def test_what_is_not_allowed_is_said_with_the_service_and_the_subject(
    nats: RestrictedServer,
) -> None:
    with structlog.testing.capture_logs() as lines:
        async with nats.connect("reviewer", answer_within=0.5) as connection:
            with pytest.raises(Temporary) as caught:
                await JetStreamLog(connection).append(opened())

    said = "NATS does not let reviewer publish to mr.opened.42.7."
    assert str(caught.value).startswith(said), caught.value
    assert "NATS_CREDENTIALS" in str(caught.value)
    assert 1 == len([line for line in lines if line["event"].startswith(said)])


# --- allowed, and seldom ----------------------------------------------------------------


def large(task_id: str) -> NewEvent:
    """An event that goes to the artifacts."""
    event = Superseded(task_id=task_id, head_sha="a" * 40, by="x" * 600_000)
    return msgspec.structs.replace(result(task_id, "x"), event=event)


@pytest.mark.parametrize("user", ["ingest", "reviewer", "coder"])
async def test_a_large_end_of_a_task_is_put_away_and_read_by_all(
    nats: RestrictedServer, user: str
) -> None:
    before, new = nats.violations(), large(f"large-{user}")
    async with nats.connect(user) as connection:
        assert (await JetStreamLog(connection).create(new)).first
    for reader in (*SERVICES, "ops"):
        async with nats.connect(reader, CLIENTS[reader]) as connection:
            log = JetStreamLog(connection)
            [found] = await log.history(new.subject)
            assert new.event == found.event
            assert new.event == (await log.last(new.subject)).event
            assert {new.subject} == await log.subjects(new.subject)
            assert 0 < await log.fill() < 1
    assert before == nats.violations()


@pytest.mark.parametrize("user", ["reviewer", "coder"])
async def test_the_sweeper_removes_what_no_event_names(nats: RestrictedServer, user: str) -> None:
    before = nats.violations()
    async with nats.connect("ingest") as connection:
        kept = await Artifacts(connection).put(f"orphan-{user}", b"nobody names me")
        named = large(f"kept-{user}")
        await JetStreamLog(connection).create(named)
    async with nats.connect(user) as connection:
        assert 1 == await UnnamedArtifacts(connection).remove(timedelta(0))
        with pytest.raises(Permanent, match="gone"):
            await Artifacts(connection).get(kept)
        assert named.event == (await JetStreamLog(connection).last(named.subject)).event
    assert before == nats.violations()


async def test_slots_of_one_service_are_seen_and_awaited_by_the_other(
    nats: RestrictedServer,
) -> None:
    before, freed = nats.violations(), asyncio.Event()
    async with nats.connect("reviewer") as one, nats.connect("coder") as other:
        mine, theirs = (Slots(JetStreamKeyValue(each, LOCKS), 1) for each in (one, other))
        await on_removal(other, LOCKS, KEYS, freed.set)
        await other.flush()
        assert await mine.take("review-x")
        assert not await theirs.take("coding-x")
        assert await mine.renew("review-x")
        await mine.free("review-x")
        async with asyncio.timeout(10):
            await freed.wait()
        assert await theirs.take("coding-x")
        await theirs.free("coding-x")
    assert before == nats.violations()


@pytest.mark.parametrize(
    ("user", "key"),
    [("ingest", "poll.gitlab"), ("ingest", "poll.jira"), ("publisher", "publish.42.7")],
)
async def test_leases_are_taken_and_given_back(nats: RestrictedServer, user: str, key: str) -> None:
    before = nats.violations()
    async with nats.connect(user) as connection:
        leases = Leases(JetStreamKeyValue(connection, LOCKS), SystemClock())
        async with leases.held(key) as lease:
            assert await lease.renew()
    assert before == nats.violations()


@pytest.mark.parametrize("user", ["reviewer", "coder", "publisher"])
async def test_an_event_is_pulled_settled_given_back_and_buried(
    nats: RestrictedServer, user: str
) -> None:
    before, seen, stopping = nats.violations(), list[str](), asyncio.Event()

    async def handle(event: Recorded) -> None:
        seen.append(event.subject)
        if len(seen) == 1:
            raise Temporary("later", delay=0.0)
        if len(seen) == 2:
            raise Permanent("never")
        stopping.set()

    async with nats.connect("coder") as connection:
        for number in range(2):
            await JetStreamLog(connection).create(result(f"pulled-{user}-{number}", "x"))
    async with nats.connect(user) as connection, asyncio.timeout(20):
        await Consumer(
            connection,
            durable=user,
            handler=handle,
            dead=DeadLetters(connection),
            clock=SystemClock(),
            limits=ConsumerLimits(concurrency=1),
        ).run(stopping)
    async with nats.connect(ADMIN) as connection:
        dead = await reading.last_per_subject(connection, DEAD_LETTERS, [f"dead.{user}.>"])
    assert dead
    assert before == nats.violations()


async def test_an_operator_may_look_at_the_topology_and_not_change_it(
    nats: RestrictedServer,
) -> None:
    changed = topology(max_bytes=2 * SMALL)
    async with nats.connect("ops", "gca", answer_within=0.3) as connection:
        assert ["EVENTS", "DEAD_LETTERS", "OBJ_ARTIFACTS"] == [
            change.name for change in await diff(connection, changed)
        ]
        with pytest.raises(Temporary, match=r"publish to \$JS\.API\.STREAM\.UPDATE\.EVENTS"):
            await connection.api("STREAM.UPDATE.EVENTS", changed.streams[0].config(1))
    async with nats.connect("topology", CLIENTS["topology"]) as connection:
        assert [] == await apply(connection, topology(max_bytes=SMALL), replicas=1)

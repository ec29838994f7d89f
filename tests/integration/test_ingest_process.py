from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import msgspec
import pytest

from libs.common.events.tasks import ChangesProposed, ReviewDone
from libs.common.jetstream.apply import apply
from libs.common.jetstream.artifacts import Artifacts
from libs.common.jetstream.connecting import connected
from libs.common.jetstream.connection import Connection
from libs.common.jetstream.log import JetStreamLog
from libs.common.jetstream.server import NatsServer
from libs.common.jetstream.topology import topology
from libs.common.subjects import history
from services.ingest.intake import FULL, watch_fill
from tests.fixtures.nats import apply_again, never_closed, remove_everything
from tests.fixtures.ports import free_port
from tests.integration.ingest_process import Ingest, ingest, start
from tests.integration.ingest_world import DOOR_SECRET, HEAD, SECRET, TASK_ID, Door, hooks, task
from tests.simulators.gitlab import running_gitlab
from tests.simulators.jira import running_jira
from tests.unit.ingest.bodies import merge_request, note

pytestmark = pytest.mark.real


async def test_wrong_settings_are_all_named_and_end_the_start_with_code_2() -> None:
    """SR-37: the values are not shown."""
    process = await start(
        {
            "PORT": "canary-port",
            "GITLAB_WEBHOOK_SIGNING_TOKEN": "canary-token",
            "TASK_DOOR_SECRET": "canary",
            "GITLAB_WEBHOOK_SECRET": "canary-1,canary-2,canary-3",
        }
    )
    async with asyncio.timeout(20):
        _, stderr = await process.communicate()
    text = stderr.decode()
    assert process.returncode == 2
    for name in (
        "GITLAB_URL",
        "PORT",
        "GITLAB_WEBHOOK_SIGNING_TOKEN",
        "GITLAB_WEBHOOK_SECRET",
        "TASK_DOOR_SECRET",
    ):
        assert f"  {name}: " in text
    assert "canary" not in text


async def test_a_busy_port_is_named_with_its_setting() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        async with ingest(f"nats://127.0.0.1:{free_port()}", PORT=str(port)) as process:
            ended = await process.line("service ended")
            assert ended["why"] == (
                f"PORT: port {port} is in use by another program; set PORT to a free one"
            )
            async with asyncio.timeout(20):
                assert await process.process.wait() == 3


async def test_before_nats_is_there_hooks_get_503() -> None:
    async with ingest(f"nats://127.0.0.1:{free_port()}") as process:
        status, answer = await process.send(merge_request("open"))
        assert (status, answer) == (503, {"error": "not connected to NATS yet (NATS_URL)"})
        door = (await process.line("task door listening"))["url"]
        async with process.client.get(f"{door}/tasks/{TASK_ID}") as refused:
            assert refused.status == 401
        status, text = await process.fetch("/readyz")
        assert (status, "not connected" in text) == (503, True)
        assert (await process.fetch("/healthz"))[0] == 200
        assert await process.stop() == 0


async def test_streams_that_are_missing_are_a_readiness_detail_until_they_are_there(
    own_nats_server: NatsServer,
) -> None:
    async def details(process: Ingest) -> str:
        status, text = await process.fetch("/readyz")
        assert status == 200
        return str(json.loads(text)["details"]["events"])

    async def until(words: str, process: Ingest) -> None:
        async with asyncio.timeout(20):
            while words not in await details(process):  # noqa: ASYNC110  # the process tells no event
                await asyncio.sleep(0.05)

    async with (
        connected(own_nats_server.url, name="admin", on_closed=never_closed) as admin,
        ingest(own_nats_server.url) as process,
    ):
        await process.until(202, merge_request("open"))
        await remove_everything(admin)
        await until("gca topology apply", process)
        assert (await process.send(merge_request("open", iid=8)))[0] == 503
        await apply_again(admin)
        await until("ok", process)


async def test_nothing_answered_202_is_lost_when_nats_is_killed(
    own_nats_server: NatsServer,
) -> None:
    async with ingest(own_nats_server.url) as process:
        await process.until(202, merge_request("open"))
        await own_nats_server.kill()
        status, _ = await process.send(merge_request("open", iid=8))
        assert status == 503
        assert (await process.fetch("/readyz"))[0] == 503
        await own_nats_server.start()
        await process.until(202, merge_request("open", iid=9))
        assert (await process.fetch("/readyz"))[0] == 200
        _, metrics = await process.fetch("/metrics")
        counted = [m for m in metrics.splitlines() if m.startswith("gca_webhooks_received_total{")]
        accepted = [m for m in counted if 'outcome="accepted"' in m]
        assert [m.rpartition(" ")[2] for m in accepted] == ["2.0"]
        assert all('kind="merge_request"' in m for m in counted)
        assert await process.stop() == 0
        assert SECRET not in process.output
        assert DOOR_SECRET not in process.output
    async with connected(own_nats_server.url, name="check", on_closed=never_closed) as connection:
        log = JetStreamLog(connection)
        assert await log.history(history(42, 7))
        assert await log.history(history(42, 9))


async def test_each_hook_is_one_line_with_event_id_and_trace(own_nats_server: NatsServer) -> None:
    async with ingest(own_nats_server.url) as process:
        await process.line("connected to NATS")
        await process.until(202, merge_request("open"))
        answered = await process.line("webhook answered", status=202)
        assert answered["event_id"].startswith("mr.opened-42-7-")
        assert len(answered["trace_id"]) == 32
        assert answered["service"] == "ingest"


async def test_a_duplicate_is_known_by_the_real_log(event_log: JetStreamLog) -> None:
    async with hooks() as world:
        world.intake._log = event_log
        answers = [await world.send(merge_request("open")) for _ in range(2)]
        assert answers[0] == answers[1]
        assert answers[0][0] == 202
        assert len(await event_log.history(history(42, 7))) == 1


async def test_sr_22_the_real_log_takes_a_large_result_once(event_log: JetStreamLog) -> None:
    body = msgspec.json.encode(ReviewDone(task_id=TASK_ID, head_sha=HEAD, summary="x" * 1_500_000))
    world = Door(event_log)
    await world.request_default()
    async with world.client:
        assert [(await world.post(body))[0] for _ in range(2)] == [201, 200]
        other = body.replace(b"xxx", b"yyy", 1)
        assert (await world.post(other))[0] == 409


async def test_sr_22_the_real_store_takes_the_largest_patch_once(connection: Connection) -> None:
    patch = bytes(range(256)) * (10 * 4096)
    fields = {"subject": "Add it", "summary": "Added.", "files": ("a",)}
    coding = "coding-42-7-n1031"
    body = msgspec.json.encode(
        ChangesProposed(task_id=coding, head_sha=HEAD, patch=patch, **fields)  # type: ignore[arg-type]  # of texts
    )
    log, store = JetStreamLog(connection), Artifacts(connection)
    world = Door(log, store)
    await world.request(task(expires_in=world.clock, task_id=coding, kind="coding"))
    token = world.token(coding)
    async with world.client:
        assert (await world.post(body, coding, token))[0] == 201
        assert (await world.post(body, coding, token))[0] == 200
        other = body.replace(b'"Added."', b'"Other."')
        assert (await world.post(other, coding, token))[0] == 409
    record = await log.last(f"task.result.42.7.{coding}")
    assert record is not None
    assert isinstance(record.event, ChangesProposed)
    assert record.event.stored is not None
    assert await store.get(record.event.stored) == patch


async def test_issues_of_jira_are_seen_by_the_process(own_nats_server: NatsServer) -> None:
    async with running_jira() as jira:
        project = jira.create_project("PROJ")
        jira.create_issue(project, status="AI Ready")
        settings = {
            "JIRA_URL": jira.url,
            "JIRA_EMAIL": jira.email,
            "JIRA_API_TOKEN": jira.api_token,
            "JIRA_POLL_INTERVAL": "1",
            "JIRA_PROJECT_MAP": '{"PROJ": {"gitlab_project_id": 42}}',
        }
        async with ingest(own_nats_server.url, **settings) as process:
            ready = await process.line("issue is ready")
            assert ready["event_id"] == "jira.ready-PROJ-1-created"
            assert (await process.fetch("/readyz"))[0] == 200
            _, metrics = await process.fetch("/metrics")
            assert 'gca_jira_issues_total{outcome="ready"} 1.0' in metrics
            await process.line(
                "only /copilot is a command; set AGENT_GITLAB_USERNAME or "
                "GITLAB_READ_TOKEN for mentions too"
            )
            assert await process.stop() == 0
            assert jira.api_token not in process.output


async def test_a_wrong_login_for_jira_is_in_readyz_and_webhooks_go_on(
    own_nats_server: NatsServer,
) -> None:
    async with running_jira() as jira:
        jira.create_project("PROJ")
        settings = {
            "JIRA_URL": jira.url,
            "JIRA_EMAIL": jira.email,
            "JIRA_API_TOKEN": "canary-of-jira",
            "JIRA_POLL_INTERVAL": "1",
            "JIRA_PROJECT_MAP": '{"PROJ": {"gitlab_project_id": 42}}',
        }
        async with ingest(own_nats_server.url, **settings) as process:
            await process.line("jira cannot be polled", outcome="login")
            status, text = await process.fetch("/readyz")
            details = json.loads(text)["details"]
            assert (status, "JIRA_API_TOKEN" in details["jira"]) == (200, True)
            await process.until(202, merge_request("open"))
            assert await process.stop() == 0
            assert "canary" not in process.output + text


async def test_the_process_learns_who_the_agent_is(
    own_nats_server: NatsServer, tmp_path: Path
) -> None:
    async with running_gitlab(tmp_path / "gitlab") as gitlab:
        settings = {"GITLAB_URL": gitlab.url, "GITLAB_READ_TOKEN": gitlab.read_token}
        async with ingest(own_nats_server.url, **settings) as process:
            known = await process.line("the agent is known")
            assert known["user_id"] == gitlab.bot.id
            await process.until(202, note(f"@{known['username']} review"))
            status, answer = await process.send(note(author_id=gitlab.bot.id))
            assert (status, answer["reason"]) == (200, "the comment is the agent's own")
            assert await process.stop() == 0
            assert gitlab.read_token not in process.output


async def test_a_log_that_is_85_percent_full_still_takes_results(
    bare_connection: Connection,
) -> None:
    """`discard=new` refuses at 100 %; the last 15 % belong to tasks under way."""
    await apply(bare_connection, topology(max_bytes=1024 * 1024), replicas=1)
    log = JetStreamLog(bare_connection)
    door = Door(log)
    await door.request_default()
    number = 0
    while await log.fill() < FULL:
        filler = task(expires_in=door.clock, task_id=f"coding-42-7-n{number}", title="x" * 30_000)
        await door.request(filler)
        number += 1
    async with hooks() as world:
        world.intake._log = log
        stopping = asyncio.Event()
        stopping_soon = StopAfterOne(log, stopping)
        await watch_fill(world.intake, stopping_soon, stopping, every=0.001)
        assert (await world.send(merge_request("open")))[0] == 503
    async with door.client:
        body = msgspec.json.encode(ReviewDone(task_id=TASK_ID, head_sha=HEAD, summary="Fine."))
        assert (await door.post(body))[0] == 201


class StopAfterOne:
    """Asks the real log once, then ends the loop."""

    def __init__(self, log: JetStreamLog, stopping: asyncio.Event) -> None:
        self._log = log
        self._stopping = stopping

    async def fill(self) -> float:
        self._stopping.set()
        return await self._log.fill()

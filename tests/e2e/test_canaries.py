"""SR-37: no secret in logs, traces, metrics, events or notes, whoever fails and echoes it."""

from __future__ import annotations

import base64
import contextlib
import itertools
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.ops.services import wait_ready
from services.ops.show import Screen
from tests.e2e.system import DOOR_SECRET, WEBHOOK_SECRET, System, running_system
from tests.e2e.test_kill import open_merge_request, review_is_done
from tests.integration.ingest_process import ingest
from tests.simulators.gitlab import MergeRequest
from tests.simulators.otlp import Collector, running_collector

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.real,
    pytest.mark.timeout(180),
    pytest.mark.asyncio(loop_scope="module"),
]
OTLP_LOGIN = "otlp-canary-3141"
NUMBERS = itertools.count(1)
TASK_TOKEN = re.compile(r"\b[0-9]{10,12}\.[0-9a-f]{64}\b")


@dataclass
class EchoingModel:
    """A provider that fails and repeats the key that it was asked with."""

    status: int = 401
    html: bool = False
    asked: int = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        words = f"no: {request.headers.get('Authorization', '')}"
        if self.html:
            return web.Response(status=self.status, text=f"<html>{words}", content_type="text/html")
        error = {"message": words, "type": words, "code": words}
        return web.json_response({"error": error}, status=self.status)


@dataclass
class World:
    """A running system whose peers repeat what they were sent, and who listens to it."""

    system: System
    collector: Collector
    model: EchoingModel
    opened: list[MergeRequest] = field(default_factory=list)

    async def open(self) -> MergeRequest:
        mr = await open_merge_request(self.system, next(NUMBERS))
        self.opened.append(mr)
        return mr

    async def restart(self) -> None:
        """End the waits of services that were told to come back later."""
        for name in ("reviewer", "publisher"):
            self.system.kill(name)
        services = [self.system.services[name] for name in ("reviewer", "publisher")]
        await wait_ready(services, Screen(self.system.screen), self.system.stopping)

    def secrets(self) -> dict[str, str]:
        system = self.system
        return {
            "webhook secret": WEBHOOK_SECRET,
            "door secret": DOOR_SECRET,
            "NATS token": "nats-canary",
            "read token": system.gitlab.read_token,
            "write token": system.gitlab.write_token,
            "model key": system.model.api_key,
            "collector's login": OTLP_LOGIN,
            "git's header": self.git_header(),
        }

    def git_header(self) -> str:
        login = f"oauth2:{self.system.gitlab.read_token}"
        return base64.b64encode(login.encode()).decode()

    def echo(self) -> str:
        """What GitLab's API, and whoever sits before it, is sent and can repeat."""
        gitlab = self.system.gitlab
        return f"{gitlab.read_token} PRIVATE-TOKEN: {gitlab.write_token}"

    async def places(self) -> dict[str, str]:
        system = self.system
        files = [file for file in system.folder.glob("tasks/**/*") if file.is_file()]
        found = {
            "logs": system.logs(),
            "screen": system.screen.getvalue(),
            "disk": "\n".join(file.read_text(errors="replace") for file in files),
            "traces, metrics and logs at the collector": "\n".join(self.collector.raw),
            "events": repr(await system.log.history(">")),
            "notes": "\n".join(n.body for mr in self.opened for n in system.gitlab.notes(mr)),
        }
        async with aiohttp.ClientSession() as client:
            for name, service in system.services.items():
                with contextlib.suppress(aiohttp.ClientError):
                    async with client.get(f"{service.health_url}/metrics") as answer:
                        found[f"metrics of {name}"] = await answer.text()
        return found

    async def assert_no_secret_shows(self) -> None:
        for place, text in (await self.places()).items():
            shown = [name for name, secret in self.secrets().items() if secret in text]
            at = max((text.find(self.secrets()[name]) for name in shown), default=0)
            assert [] == shown, f"in {place}: {text[max(0, at - 300) : at]}"
            assert not TASK_TOKEN.search(text), f"a task's token in {place}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    model, app = EchoingModel(), web.Application()
    app.router.add_route("*", "/{tail:.*}", model.answer)
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(TestServer(app))
        collector = stack.enter_context(running_collector())
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint.replace(
                "http://", f"http://operator:{OTLP_LOGIN}@"
            ),
            "COPILOT_PROVIDER_BASE_URL": str(server.make_url("/v1")),
        }
        folder = tmp_path_factory.mktemp("canaries")
        system = await stack.enter_async_context(running_system(folder, settings=settings))
        yield World(system, collector, model)


@pytest.fixture(autouse=True)
def mended(world: World):
    yield
    world.system.gitlab.faults.clear()


def handled(world: World, subject: str) -> bool:
    return f'"subject": "{subject}' in world.system.logs()


@pytest.mark.parametrize(
    ("status", "html"),
    [(status, False) for status in (401, 403, 404, 429, 500, 302, 200)]
    + [(status, True) for status in (401, 403, 503, 200)],
)
async def test_gitlab_that_echoes_our_tokens(world, status, html):
    page = f"<html><h1>{world.echo()}</h1></html>"
    body = page if html else {"message": world.echo(), "error": world.echo()}
    world.system.gitlab.faults.add(
        path=r"/api/v4/", times=500, status=status, body=body,
        headers={"X-Echo": world.echo(), "Location": f"http://127.0.0.1:1/?{world.echo()[:40]}"},
    )  # fmt: skip

    mr = await world.open()
    await review_is_done(world.system, mr)
    for subject in (f"mr.opened.{mr.project.id}.", f"task.result.{mr.project.id}."):
        await world.system.until(lambda s=subject: handled(world, s), subject)

    try:
        await world.assert_no_secret_shows()
    finally:
        world.system.gitlab.faults.clear()
        await world.restart()


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_clone_that_is_refused_with_an_echo(world, status):
    world.system.gitlab.faults.add(
        path=r"\.git/", times=50, status=status, body=f"{world.echo()} {world.git_header()}",
        headers={"WWW-Authenticate": f'Basic realm="{world.git_header()}"'},
    )  # fmt: skip
    record = await world.system.review_of(await world.open())
    assert "failed" == record.outcome
    await world.assert_no_secret_shows()


@pytest.mark.parametrize(("status", "html"), [(401, False), (400, False), (401, True)])
async def test_a_model_that_echoes_its_key(world, status, html):
    world.model.status, world.model.html, before = status, html, world.model.asked
    record = await world.system.review_of(await world.open())
    assert ("failed", True) == (record.outcome, world.model.asked > before)
    await world.assert_no_secret_shows()


async def test_the_doors_refuse_strangers_without_repeating_them(world):
    strangers = world.secrets()
    del strangers["webhook secret"]  # with it one is no stranger
    environment = world.system.services["ingest"].environment
    door = f"http://127.0.0.1:{environment['TASK_DOOR_PORT']}/tasks/review-1-1-{'a' * 16}-0"
    hook = f"http://127.0.0.1:{environment['PORT']}/webhook"
    async with aiohttp.ClientSession() as client:
        for word in ("stranger-canary-1", f"99999999999.{'b' * 64}", *strangers.values()):
            headers = {"Authorization": f"Bearer {word}", "X-Gitlab-Token": word}
            for address in (door, f"{door}/result", hook):
                async with client.post(address, headers=headers, json={"x": word}) as answer:
                    assert answer.status in {401, 405}
                    assert word not in await answer.text()
    await world.assert_no_secret_shows()
    for place, text in (await world.places()).items():
        assert "stranger-canary" not in text, place


async def test_nats_that_refuses_us_is_named_without_the_login(world):
    address = world.system.services["ingest"].environment["NATS_URL"].rpartition("@")[2]
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": world.collector.endpoint}
    async with ingest(f"nats://nats-wrong-canary@{address}", **settings) as process:
        await process.line("webhook listening")
        status, metrics = await process.fetch("/metrics")
        await process.stop()
    assert 200 == status
    for text in (process.output, metrics, *world.collector.raw):
        assert "nats-wrong-canary" not in text


async def test_everything_was_heard_of_all_the_same(world):
    """The searches above are worth something: what they search is full."""
    await world.system.review_of(await world.open())
    places = await world.places()
    assert all(len(text) > 100 for place, text in places.items() if place != "screen"), places
    assert "gca_webhooks_received_total" in places["metrics of ingest"]
    assert {"ingest", "reviewer", "publisher"} <= {span.service for span in world.collector.spans}

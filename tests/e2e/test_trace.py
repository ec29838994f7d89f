"""One trace from the webhook to the notes, with the real CLI and a collector of the protocol."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from libs.common import telemetry
from tests.e2e.system import System, running_system
from tests.simulators.gitlab import MergeRequest
from tests.simulators.otlp import Collector, Span, running_collector

pytestmark = [pytest.mark.e2e, pytest.mark.real, pytest.mark.timeout(180)]
BEFORE = "def price(total):\n    return total\n"
DEFECT = "def price(total):\n    return eval(total)\n"
NOT_DELIVERED = "telemetry is not delivered"
SERVER, CONSUMER, PRODUCER = 2, 5, 4


async def opened(system: System, name: str = "app") -> MergeRequest:
    project = system.gitlab.create_project(f"shop/{name}", files={"app.py": BEFORE})
    system.gitlab.commit(project, branch="topic", files={"app.py": DEFECT})
    return await system.gitlab.open_merge_request(project, source_branch="topic")


async def metrics_of(system: System, name: str) -> dict[str, float]:
    """All samples of a service by name, summed over their labels."""
    address = f"{system.services[name].health_url}/metrics"
    async with aiohttp.ClientSession() as client, client.get(address) as answer:
        assert 200 == answer.status
        text = await answer.text()
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


@contextlib.asynccontextmanager
async def traced(folder: Path, collector: Collector) -> AsyncIterator[System]:
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint}
    async with running_system(folder, settings=settings) as system:
        yield system


def tree(spans: list[Span], trace: str) -> dict[str, list[Span]]:
    """Spans of a trace by the id of their parent."""
    found: dict[str, list[Span]] = {}
    for span in spans:
        if span.trace_id == trace:
            found.setdefault(span.parent_id, []).append(span)
    return found


def below(children: dict[str, list[Span]], span: Span) -> list[Span]:
    own = children.get(span.span_id, [])
    return own + [deeper for child in own for deeper in below(children, child)]


def path(spans: list[Span], leaf: Span) -> list[str]:
    """From the root down to `leaf`."""
    by_id = {span.span_id: span for span in spans}
    names = [f"{leaf.service}: {leaf.name}"]
    while leaf.parent_id:
        leaf = by_id[leaf.parent_id]
        names.insert(0, f"{leaf.service}: {leaf.name}")
    return names


async def test_one_tree_leads_from_the_webhook_to_each_note(tmp_path):
    with running_collector() as collector:
        async with traced(tmp_path, collector) as system:
            mr = await opened(system)
            record = await system.review_of(mr)
            task_id = record.task_id
            history = await system.history(mr)
            traces = {telemetry.trace_id(event.traceparent) for event in history}
            logs = system.logs
        # The services have ended, so all that there is has arrived.
        spans, lines = collector.spans, collector.lines

    [trace] = traces
    children = tree(spans, trace)
    [root] = children[""]
    assert ("ingest", "POST /webhook", SERVER) == (root.service, root.name, root.kind)
    mine = [span for span in spans if span.trace_id == trace]
    assert {span.span_id for span in mine} == {
        span.span_id for span in [root, *below(children, root)]
    }, "a span hangs in the air"
    assert not [span for span in mine if span.failed]

    [note] = [span for span in mine if span.attributes.get("gitlab.note.id") and span.kind == 3]
    assert record.summary_note_id == note.attributes["gitlab.note.id"]
    assert [
        "ingest: POST /webhook",
        "reviewer: process mr.opened.*.*.*",
        "reviewer: request review",
        "reviewer: start job",
        "runner: job run",
        "runner: hand in result",
        "ingest: POST /tasks/{task_id}/result",
        "publisher: process task.result.*.*.*",
        "publisher: publish review",
        "publisher: POST /projects/:id/merge_requests/:id/notes",
    ] == path(mine, note)
    [publishing] = [span for span in mine if span.name == "publish review"]
    assert list(record.discussion_ids) == publishing.attributes["gitlab.discussion.ids"]
    assert record.discussion_ids

    assert_the_session_is_part_of_it(mine)
    assert_names_have_no_ids(mine)
    assert_lines_lead_to_it(lines, trace, task_id)
    assert trace in logs()


def assert_the_session_is_part_of_it(mine: list[Span]) -> None:
    names = {f"{span.service}: {span.name}" for span in mine}
    for name in ("runner: job clone", "runner: clone repository", "runner: start session"):
        assert name in names
    [session] = [span for span in mine if span.name == "session"]
    agents = [span for span in mine if span.name.startswith("invoke_agent")]
    assert [session.span_id] == [agent.parent_id for agent in agents]
    calls = [span for span in mine if span.parent_id == agents[0].span_id]
    assert any(span.name.startswith("chat ") for span in calls)
    assert "execute_tool submit_review" in {span.name for span in calls}
    used = sum(span.attributes.get("gen_ai.usage.input_tokens", 0) for span in calls)
    assert 0 < used == session.attributes["gen_ai.usage.input_tokens"]


def assert_names_have_no_ids(mine: list[Span]) -> None:
    for span in mine:
        assert not any(part.isdigit() for part in span.name.replace("/", ".").split(".")), span
        if span.kind in {CONSUMER, PRODUCER}:
            assert "nats" == span.attributes["messaging.system"]
            assert span.name.endswith(f" {span.attributes['messaging.destination.template']}")


def assert_lines_lead_to_it(lines: list[dict], trace: str, task_id: str) -> None:
    found = {line["event"] for line in lines if line["trace_id"] == trace}
    assert {"webhook answered", "task requested", "session started", "task published"} <= found
    named = {line["event"] for line in lines if line.get("task_id") == task_id}
    assert {"session started", "result handed in", "review posted", "message handled"} <= named


async def test_metrics_tell_of_a_review_and_are_sent_on(tmp_path):
    with running_collector() as collector:
        async with traced(tmp_path, collector) as system:
            await system.review_of(await opened(system))
            ingest, reviewer, publisher = [
                await metrics_of(system, name) for name in ("ingest", "reviewer", "publisher")
            ]
        sent = set(collector.metrics)

    assert ingest["gca_webhooks_received_total"] >= 1
    assert 1 == ingest["gca_tasks_ended_total"] == ingest["gca_session_duration_seconds_count"]
    assert ingest["gca_session_tokens_total"] > 0
    assert 1 == reviewer["gca_jobs_started_total"]
    assert {"gca_tasks_open", "gca_slots_in_use"} <= reviewer.keys()
    assert 1 == publisher["gca_reviews_total"] == publisher["gca_review_duration_seconds_count"]
    assert publisher["gca_gitlab_calls_total"] >= 6
    assert {"gca_reviews", "gca_tasks_ended", "gca_jobs_started"} <= sent


@contextlib.contextmanager
def troubled(mood: str):
    """A collector that is away, or one that is there and takes nothing."""
    if mood == "away":
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            yield Collector(endpoint=f"http://127.0.0.1:{nobody.getsockname()[1]}")
    else:
        with running_collector(mood) as collector:
            yield collector


@pytest.mark.parametrize("mood", ["away", "slow", "refusing"])
async def test_a_collector_in_trouble_delays_and_floods_nothing(tmp_path, mood):
    with troubled(mood) as collector:
        async with traced(tmp_path, collector) as system:
            mr = await opened(system)
            record = await system.review_of(mr)
            assert "posted" == record.outcome

            await system.gitlab.push(mr.project, branch="topic", files={"b.py": DEFECT})
            assert "posted" == (await system.review_of(mr)).outcome
            ingest = await metrics_of(system, "ingest")
            assert ingest["gca_webhooks_received_total"] >= 2

            def complained() -> bool:
                return all(NOT_DELIVERED in log for log in services())

            def services() -> list[str]:
                return [(tmp_path / "logs" / f"{name}.log").read_text() for name in system.services]

            await system.until(complained, "a line about the collector")
            assert [1] * len(system.services) == [log.count(NOT_DELIVERED) for log in services()]
            jobs = [file.read_text() for file in tmp_path.glob("tasks/**/*.log")]
            assert jobs
            assert all(log.count(NOT_DELIVERED) <= 1 for log in jobs)
            assert "Traceback" not in system.logs()
            assert "collector-refusal-canary" not in system.logs()

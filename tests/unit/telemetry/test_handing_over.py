"""The clone's spans go to the session's step in a file, so that a slow collector delays nothing."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from libs.common import telemetry
from libs.common.otlp.collector import Collector
from libs.common.otlp.pipeline import Kept, SpansOut, Tracing

PARENT = f"00-{'1' * 32}-{'2' * 16}-01"


@pytest.fixture
def kept():
    """Spans are kept; the collector is nobody, and is never asked."""
    telemetry.record(Tracing("runner", Kept(SpansOut(Collector("http://127.0.0.1:1")))))
    yield
    telemetry.record(None)


@pytest.mark.usefixtures("kept")
def test_what_one_process_kept_the_next_one_sends(tmp_path, recorded_after):
    with (
        telemetry.span("job clone", parent=PARENT, attributes={"n": 1, "ids": ["a", "b"]}),
        pytest.raises(LookupError),
        telemetry.span("clone repository"),
    ):
        raise LookupError
    telemetry.hand_over(tmp_path / "spans.json")
    assert not telemetry.is_recorded()

    spans = recorded_after(lambda: telemetry.take_over(tmp_path / "spans.json", "runner"))

    job, clone = spans["job clone"], spans["clone repository"]
    assert job.context.span_id == clone.parent.span_id
    assert (1, ["a", "b"]) == (job.attributes["n"], list(job.attributes["ids"]))
    assert ("LookupError", "runner") == (
        clone.attributes["error.type"],
        clone.resource.attributes["service.name"],
    )


@pytest.mark.parametrize("content", [None, b"", b"garbage", b'[{"name": 1}]', b"[]"])
def test_nothing_of_use_is_nothing(content, tmp_path, recorded_after):
    file = tmp_path / "spans.json"
    if content is not None:
        file.write_bytes(content)
    assert {} == recorded_after(lambda: telemetry.take_over(file, "runner"))


@pytest.mark.usefixtures("kept")
def test_a_folder_that_is_gone_is_no_failure(tmp_path):
    with telemetry.span("a"):
        pass
    telemetry.hand_over(tmp_path / "gone" / "spans.json")


@pytest.fixture
def recorded_after():
    def run(work):
        exporter = InMemorySpanExporter()
        telemetry.record(Tracing("next", SimpleSpanProcessor(exporter)))
        work()
        return {span.name: span for span in exporter.get_finished_spans()}

    yield run
    telemetry.record(None)

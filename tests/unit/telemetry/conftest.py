from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from libs.common import telemetry
from libs.common.otlp.pipeline import Tracing

Recorded = Callable[[], dict[str, ReadableSpan]]


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    """Spans that ended so far, by name."""
    exporter = InMemorySpanExporter()
    telemetry.record(Tracing("test", SimpleSpanProcessor(exporter)))
    yield lambda: {span.name: span for span in exporter.get_finished_spans()}
    telemetry.record(None)

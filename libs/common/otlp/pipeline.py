"""Batches of spans, log lines and metrics on their way to the collector, in threads of their own.

Used by `telemetry` and `metrics`, which import it only when there is an endpoint. Queues are
bounded: when the collector is away or slow, the oldest wait and the newest are dropped.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry import context
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    LogRecordExporter,
    LogRecordExportResult,
)
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricReader,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_NAMESPACE, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from libs.common.otlp import complaints
from libs.common.otlp.collector import Collector, Late
from libs.common.telemetry import Foreign, Kind, Value

NAMESPACE = "gitlab-copilot-agent"
CLOSE_SECONDS = 2.0
MOST_KEPT = 1000
DELAY_MILLISECONDS = 1000.0
_NOT_ATTRIBUTES = frozenset({"event", "level", "timestamp", "trace_id", "service"})
_SEVERITIES = {
    "debug": SeverityNumber.DEBUG,
    "info": SeverityNumber.INFO,
    "warning": SeverityNumber.WARN,
    "error": SeverityNumber.ERROR,
    "critical": SeverityNumber.FATAL,
}
_KIND_NAMES: dict[SpanKind, Kind] = {
    SpanKind.INTERNAL: "internal",
    SpanKind.SERVER: "server",
    SpanKind.CLIENT: "client",
    SpanKind.PRODUCER: "producer",
    SpanKind.CONSUMER: "consumer",
}


class SpansOut(SpanExporter):
    """Spans to the collector."""

    def __init__(self, collector: Collector) -> None:
        self.late = Late(lambda: collector.exporter("traces"))

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS if self.late.export(spans) else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        self.late.shutdown()


class LinesOut(LogRecordExporter):
    """Log lines to the collector."""

    def __init__(self, collector: Collector) -> None:
        self.late = Late(lambda: collector.exporter("logs"))

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        taken = self.late.export(batch)
        return LogRecordExportResult.SUCCESS if taken else LogRecordExportResult.FAILURE

    def shutdown(self) -> None:
        self.late.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002  nothing is kept
        return True


class MetricsOut(MetricExporter):
    """Metrics to the collector."""

    def __init__(self, collector: Collector) -> None:
        super().__init__()
        self.late = Late(lambda: collector.exporter("metrics"))

    def export(
        self,
        metrics_data: MetricsData,
        timeout_millis: float = 10_000,  # noqa: ARG002  `collector` bounds it
        **_: Any,
    ) -> MetricExportResult:
        taken = self.late.export(metrics_data)
        return MetricExportResult.SUCCESS if taken else MetricExportResult.FAILURE

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:  # noqa: ARG002
        self.late.shutdown()

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002
        return True


class Kept(SpanProcessor):
    """Keeps spans to the end, so that a process can hand them over to the next instead."""

    def __init__(self, exporter: SpansOut) -> None:
        self._exporter = exporter
        self._spans: deque[ReadableSpan] = deque(maxlen=MOST_KEPT)

    def on_end(self, span: ReadableSpan) -> None:
        self._spans.append(span)

    def shutdown(self) -> None:
        if self._spans:
            self._exporter.export(list(self._spans))
        self._exporter.shutdown()

    def taken(self) -> list[Foreign]:
        """What was kept, and is kept no more."""
        spans = [_foreign(span) for span in self._spans]
        self._spans.clear()
        return spans


class Tracing:
    """The SDK's tracer over one processor; `add` takes spans that another process has made."""

    def __init__(self, service: str, processor: SpanProcessor) -> None:
        self._processor = processor
        self.resource = resource(service)
        # None of the SDK's exit hooks: they wait for a collector as long as it takes.
        self.provider = TracerProvider(
            sampler=ALWAYS_ON, resource=self.resource, shutdown_on_exit=False
        )
        self.provider.add_span_processor(processor)
        self.tracer = self.provider.get_tracer(NAMESPACE)

    def taken(self) -> list[Foreign]:
        """Spans that were kept for the next process; none when they are sent as they end."""
        return self._processor.taken() if isinstance(self._processor, Kept) else []

    def add(self, span: Foreign, source: str) -> None:
        number, kind = int(span.trace_id, 16), SpanKind[span.kind.upper()]
        self._processor.on_end(
            ReadableSpan(
                span.name,
                context=_place(number, span.span_id, is_remote=False),
                parent=_place(number, span.parent_id, is_remote=True) if span.parent_id else None,
                resource=resource(source),
                attributes=span.attributes,
                kind=kind,
                status=Status(StatusCode.ERROR if span.failed else StatusCode.UNSET),
                start_time=span.start,
                end_time=span.end,
                instrumentation_scope=InstrumentationScope(source),
            )
        )


def _place(number: int, span_id: str, *, is_remote: bool) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(number, int(span_id, 16), is_remote=is_remote, trace_flags=flags)


def _foreign(span: ReadableSpan) -> Foreign:
    context = span.context
    return Foreign(
        name=span.name,
        trace_id=f"{context.trace_id:032x}",
        span_id=f"{context.span_id:016x}",
        parent_id=f"{span.parent.span_id:016x}" if span.parent else "",
        kind=_KIND_NAMES[span.kind],
        start=span.start_time or 0,
        end=span.end_time or 0,
        attributes={name: _value(value) for name, value in (span.attributes or {}).items()},
        failed=span.status.status_code is StatusCode.ERROR,
    )


class Lines:
    """The sink of `libs.common.logs`: copies of log lines, with their trace."""

    def __init__(self, service: str, exporter: LogRecordExporter) -> None:
        self._provider = LoggerProvider(resource=resource(service), shutdown_on_exit=False)
        self._provider.add_log_record_processor(
            BatchLogRecordProcessor(exporter, schedule_delay_millis=DELAY_MILLISECONDS)
        )
        self._logger = self._provider.get_logger(NAMESPACE)
        self.close = self._provider.shutdown

    def __call__(self, level: str, event: Mapping[str, Any]) -> None:
        self._logger.emit(
            LogRecord(
                timestamp=time.time_ns(),
                context=context.get_current(),
                severity_text=level,
                severity_number=_SEVERITIES.get(level, SeverityNumber.UNSPECIFIED),
                body=str(event.get("event", "")),
                attributes={
                    name: _plain(value)
                    for name, value in event.items()
                    if name not in _NOT_ATTRIBUTES
                },
            )
        )


def _value(value: object) -> Value:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [str(each) for each in value]
    return _plain(value)


def _plain(value: object) -> str | bool | int | float:
    return value if isinstance(value, str | bool | int | float) else str(value)


def spans_and_lines(service: str, collector: Collector, *, keep: bool) -> tuple[Tracing, Lines]:
    """Both on their way to `collector`; with `keep`, spans are only at the end."""
    complaints.hear(service)
    spans, lines = SpansOut(collector), LinesOut(collector)
    processor: SpanProcessor = (
        Kept(spans) if keep else BatchSpanProcessor(spans, schedule_delay_millis=DELAY_MILLISECONDS)
    )
    return Tracing(service, processor), Lines(service, lines)


def metric_reader(collector: Collector) -> MetricReader:
    """Sends all metrics once a minute."""
    return PeriodicExportingMetricReader(MetricsOut(collector))


def resource(service: str) -> Resource:
    """What all signals of this process say about where they come from."""
    return Resource.create({SERVICE_NAME: service, SERVICE_NAMESPACE: NAMESPACE})


def close(*closing: Callable[[], object]) -> None:
    """Send what is left, `CLOSE_SECONDS` at most; what hangs then dies with the process."""
    threads = [threading.Thread(target=_closed, args=(each,), daemon=True) for each in closing]
    for thread in threads:
        thread.start()
    until = time.monotonic() + CLOSE_SECONDS
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))


def _closed(closing: Callable[[], object]) -> None:
    # The end of telemetry is the end of nothing else.
    with contextlib.suppress(Exception):
        closing()

"""The receiving end of OTLP, for tests that run real services in processes of their own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

Mood = Literal["good", "slow", "refusing"]
REFUSAL = "collector-refusal-canary"


@dataclass(frozen=True)
class Span:
    """A span as it arrived."""

    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    failed: bool
    seconds: float


@dataclass
class Collector:
    """What came, and how the collector behaves: `slow` answers nothing, `refusing` no."""

    endpoint: str = ""
    mood: Mood = "good"
    spans: list[Span] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    metrics: set[str] = field(default_factory=set)
    raw: list[str] = field(default_factory=list)
    """Every request as text, for searches after what must not be there."""
    headers: list[dict[str, str]] = field(default_factory=list)
    calls: int = 0
    _ended: threading.Event = field(default_factory=threading.Event, repr=False)

    def take(self, request: Any, context: grpc.ServicerContext) -> None:
        """Note that somebody called; does not return when the mood is bad."""
        self.calls += 1
        self.headers.append({key: str(value) for key, value in context.invocation_metadata()})
        if self.mood == "slow":
            self._ended.wait(60)
            context.abort(grpc.StatusCode.UNAVAILABLE, "too late")
        if self.mood == "refusing":
            context.abort(grpc.StatusCode.PERMISSION_DENIED, REFUSAL)
        self.raw.append(str(request))

    def end(self) -> None:
        self._ended.set()


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802  grpc's name
        self._collector.take(request, context)
        for resource in request.resource_spans:
            service = _attributes(resource.resource.attributes).get("service.name", "")
            for scope in resource.scope_spans:
                self._collector.spans.extend(_span(service, span) for span in scope.spans)
        return trace_service_pb2.ExportTraceServiceResponse()


class _Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802  grpc's name
        self._collector.take(request, context)
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                self._collector.metrics |= {metric.name for metric in scope.metrics}
        return metrics_service_pb2.ExportMetricsServiceResponse()


class _Logs(logs_service_pb2_grpc.LogsServiceServicer):
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802  grpc's name
        self._collector.take(request, context)
        for resource in request.resource_logs:
            service = _attributes(resource.resource.attributes).get("service.name", "")
            for scope in resource.scope_logs:
                for line in scope.log_records:
                    self._collector.lines.append(
                        _attributes(line.attributes)
                        | {"service": service, "event": line.body.string_value}
                        | {"trace_id": line.trace_id.hex(), "level": line.severity_text}
                    )
        return logs_service_pb2.ExportLogsServiceResponse()


@contextmanager
def running_collector(mood: Mood = "good") -> Iterator[Collector]:
    """A collector on a free port of loopback."""
    collector = Collector(mood=mood)
    server = grpc.server(ThreadPoolExecutor(16))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(_Traces(collector), server)
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(_Metrics(collector), server)
    logs_service_pb2_grpc.add_LogsServiceServicer_to_server(_Logs(collector), server)
    collector.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield collector
    finally:
        collector.end()
        server.stop(None).wait()


def _span(service: str, span: Any) -> Span:
    return Span(
        service=service,
        name=span.name,
        kind=span.kind,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        attributes=_attributes(span.attributes),
        failed=span.status.code == 2,
        seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
    )


def _attributes(found: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in found}


def _value(value: Any) -> Any:
    which = value.WhichOneof("value")
    if which == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, which) if which else None

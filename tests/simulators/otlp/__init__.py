"""A collector that keeps what it is sent: OTLP over gRPC by the protocol's own services.

with running_collector() as collector:
    ... OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint ...
    collector.spans
"""

from tests.simulators.otlp.receiver import Collector, Span, running_collector

__all__ = ["Collector", "Span", "running_collector"]

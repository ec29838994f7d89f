"""`docs/metrics.md`: the table of `libs.common.metrics`."""

from __future__ import annotations

from documents.markdown import code, document, table
from libs.common.metrics import METRICS, Metric

_INTRODUCTION = """\
Every service serves these as Prometheus text at `/metrics` of its health port, and sends them by
OTLP when `OTEL_EXPORTER_OTLP_ENDPOINT` is set. A runner serves none: what its Job took is in the
result and is counted by ingest. Durations are seconds."""


def page() -> str:
    head = ("Metric", "Type", "Of", "Labels", "Meaning")
    return document("Metrics", _INTRODUCTION, table(head, map(_row, METRICS)))


def _row(metric: Metric) -> tuple[str, ...]:
    labels = ", ".join(code(label) for label in metric.labels)
    return code(metric.shown), metric.type, metric.service, labels, metric.meaning

"""Counters of this process, served as Prometheus text on `/metrics` of the health port.

`configure` runs once per process; counters may be made and used before it and count nothing then.
"""

from __future__ import annotations

from opentelemetry import metrics
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import Counter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from prometheus_client import REGISTRY, generate_latest


def configure(service: str) -> None:
    """Collect this process's metrics under the name of `service`."""
    resource = Resource.create({SERVICE_NAME: service})
    metrics.set_meter_provider(
        MeterProvider(metric_readers=[PrometheusMetricReader()], resource=resource)
    )


def counter(name: str, description: str) -> Counter:
    """A counter named `gca_<name>`; Prometheus appends `_total`."""
    return metrics.get_meter("gca").create_counter(f"gca_{name}", description=description)


def exposition() -> bytes:
    """All metrics in Prometheus text format."""
    return generate_latest(REGISTRY)

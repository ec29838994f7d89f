"""Metrics of this process, served as Prometheus text on `/metrics` of the health port.

`METRICS` is the list of all there are; documentation is made from it. Used by whoever sees what
is counted. Before `configure` nothing is counted; a name or label of no metric is our mistake.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_NAMESPACE, Resource
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest

NAMESPACE = "gitlab-copilot-agent"
Label = str | int
_QUICK = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LONG = (1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0)


class Metric(NamedTuple):
    """One metric; `buckets` are upper bounds in seconds, only histograms have them."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    meaning: str
    service: str
    """Who has it; several by comma."""
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def shown(self) -> str:
        """The name as Prometheus shows it."""
        suffix = {"counter": "_total", "histogram": "_seconds", "gauge": ""}[self.type]
        return f"gca_{self.name}{suffix}"


METRICS = (
    Metric(
        "webhooks_received",
        "counter",
        "Webhooks answered. Outcomes: accepted, duplicate, ignored, not_allowed, refused, "
        "unauthorized, unreadable, slow, too_large, full, unavailable.",
        "ingest",
        ("kind", "outcome"),
    ),
    Metric(
        "task_door_requests",
        "counter",
        "Requests of Jobs at the task door; what: spec or result.",
        "ingest",
        ("what", "status"),
    ),
    Metric(
        "log_fill_ratio",
        "gauge",
        "Share of the event log's max_bytes in use, 0 to 1; from 0.85 webhooks get 503.",
        "ingest",
    ),
    Metric(
        "jira_polls",
        "counter",
        "Looks at Jira. Outcomes: done, partly (some projects or issues failed), away, limited "
        "(429), login, refused, bug.",
        "ingest",
        ("outcome",),
    ),
    Metric(
        "jira_issues",
        "counter",
        "Issues in the trigger status that were looked at. Outcomes: ready, known (its event was "
        "there), not_allowed, not_mapped, moved_on, unexplained, too_old, gone.",
        "ingest",
        ("outcome",),
    ),
    Metric(
        "gitlab_polls",
        "counter",
        "Looks at GitLab. Outcomes: done, partly (some groups, projects or merge requests failed), "
        "away, limited (429), login, refused, bug.",
        "ingest",
        ("outcome",),
    ),
    Metric(
        "gitlab_polled",
        "counter",
        "Events that a look at GitLab found; outcome: new (no webhook had told it), known.",
        "ingest",
        ("event", "outcome"),
    ),
    Metric(
        "hooks_missing",
        "gauge",
        "Webhooks of projects that do not come, as the replica that polls GitLab sees it; see "
        "HOOK_WATCH_SECONDS.",
        "ingest",
    ),
    Metric(
        "tasks_ended",
        "counter",
        "Tasks that ended, counted by whoever wrote the end. Outcomes: review_done, "
        "changes_proposed, answered, nothing_to_do, refused, task_failed, superseded; reason: why "
        "a task failed, else empty.",
        "ingest, reviewer, coder",
        ("kind", "outcome", "reason"),
    ),
    Metric(
        "clone_duration",
        "histogram",
        "Seconds of a Job's clone.",
        "ingest",
        ("kind",),
        _LONG,
    ),
    Metric(
        "session_start_duration",
        "histogram",
        "Seconds until the Copilot CLI had a session.",
        "ingest",
        ("kind",),
        (0.25, 0.5, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0, 60.0),
    ),
    Metric(
        "session_duration",
        "histogram",
        "Seconds of a Copilot session, from its start to its end.",
        "ingest",
        ("kind", "outcome"),
        _LONG,
    ),
    Metric(
        "session_tokens",
        "counter",
        "Tokens used by sessions; type: input, output or cache_read.",
        "ingest",
        ("model", "type"),
    ),
    Metric(
        "session_cost",
        "counter",
        "Cost of sessions in the unit of the provider, as it reports it.",
        "ingest",
        ("model",),
    ),
    Metric(
        "tasks_open",
        "gauge",
        "Tasks requested and not ended, as the reconciler saw them last.",
        "reviewer, coder",
    ),
    Metric(
        "slots_in_use",
        "gauge",
        "Slots held by tasks, of all services; MAX_CONCURRENT_TASKS is the most there are.",
        "reviewer, coder",
    ),
    Metric(
        "swept",
        "counter",
        "What was left over or lost and is mended; what: overdue_task (ended as failed), "
        "job_without_task (ended), task_without_job (launched again), clone_folder, state_folder, "
        "artifact (removed).",
        "reviewer, coder",
        ("what",),
    ),
    Metric("jobs_started", "counter", "Jobs started, repeats too.", "reviewer, coder", ("kind",)),
    Metric(
        "reviews",
        "counter",
        "Review tasks that the publisher is done with. Outcomes: posted, superseded, failed.",
        "publisher",
        ("outcome",),
    ),
    Metric(
        "review_duration",
        "histogram",
        "Seconds from the event of the reviewed head to the posted review.",
        "publisher",
        ("outcome",),
        _LONG,
    ),
    Metric(
        "commands_published",
        "counter",
        "Tasks asked for in a note or an issue that the publisher is done with. Outcomes: posted, "
        "superseded, refused, failed.",
        "publisher",
        ("kind", "outcome"),
    ),
    Metric(
        "effects_missed",
        "counter",
        "Niceties that GitLab or Jira did not take; what: dead_letter, emoji, jira_comment, "
        "jira_transition.",
        "publisher",
        ("what", "reason"),
    ),
    Metric(
        "messages_handled",
        "counter",
        "Events handled. Outcomes: done, later (comes again), dead (dead letter), unsettled.",
        "reviewer, coder, publisher",
        ("durable", "event", "outcome"),
    ),
    Metric(
        "message_duration",
        "histogram",
        "Seconds of handling one event.",
        "reviewer, coder, publisher",
        ("durable",),
        _QUICK,
    ),
    Metric(
        "handler_failures",
        "counter",
        "Handlers that failed; kind: temporary (tried again), permanent (dead letter), bug (ours).",
        "reviewer, coder, publisher",
        ("durable", "kind"),
    ),
    Metric(
        "gitlab_calls",
        "counter",
        "Calls of GitLab's API; status 0: no answer.",
        "ingest, reviewer, coder, publisher",
        ("method", "route", "status"),
    ),
    Metric(
        "gitlab_call_duration",
        "histogram",
        "Seconds of one call of GitLab's API.",
        "ingest, reviewer, coder, publisher",
        ("method", "route"),
        _QUICK,
    ),
    Metric(
        "gitlab_token_expiry_timestamp_seconds",
        "gauge",
        "When the service's GitLab token stops working, in seconds since 1970; looked up once a "
        "day, and missing for a token without an expiry date.",
        "reviewer, publisher",
    ),
)
"""Every metric of the system; the names are stable."""
_BY_NAME = {metric.name: metric for metric in METRICS}
Counts = dict[tuple[tuple[str, Label], ...], float]
"""What a counter has reached, by its labels."""


class _Process:
    """What `configure` set up for this process."""

    provider: MeterProvider | None = None
    sends: bool = False
    registry: CollectorRegistry = REGISTRY
    instruments: dict[str, Any]
    counts: dict[str, Counts]


_Process.instruments = {}
_Process.counts = {}


def configure(
    service: str,
    *,
    endpoint: str = "",
    ca_bundle: Path | None = None,
    registry: CollectorRegistry = REGISTRY,
) -> None:
    """Count under the name of `service` from now on; with an `endpoint`, send it there too."""
    readers: list[MetricReader] = [
        PrometheusMetricReader(scope_info_enabled=False, registry=registry)
    ]
    if endpoint:
        # Not at the top: only for those who have a collector.
        from libs.common.otlp.collector import Collector  # noqa: PLC0415
        from libs.common.otlp.pipeline import metric_reader  # noqa: PLC0415

        readers.append(metric_reader(Collector(endpoint, ca_bundle)))
    resource = Resource.create({SERVICE_NAME: service, SERVICE_NAMESPACE: NAMESPACE})
    provider = MeterProvider(readers, resource, shutdown_on_exit=False)
    _Process.provider, _Process.registry = provider, registry
    _Process.sends = bool(endpoint)
    _Process.counts = {metric.name: {} for metric in METRICS if metric.type == "counter"}
    _Process.instruments = {metric.name: _instrument(provider, metric) for metric in METRICS}


def shutdown() -> None:
    """Send what is left, within two seconds; the end of a process."""
    provider, _Process.provider, _Process.instruments = _Process.provider, None, {}
    _Process.counts = {}
    if provider is not None and not _Process.sends:
        provider.shutdown()
    elif provider is not None:
        from libs.common.otlp.pipeline import close  # noqa: PLC0415  see `configure`

        close(provider.shutdown)


def count(name: str, amount: float = 1, **labels: Label) -> None:
    """Add to a counter of `METRICS`.

    Counted here and asked for by the SDK when somebody reads: ten times cheaper per event.
    """
    if _found(name, "counter", labels) is not None:
        reached = _Process.counts[name]
        key = tuple(sorted(labels.items()))
        reached[key] = reached.get(key, 0) + amount


def observe(name: str, seconds: float, **labels: Label) -> None:
    """Add a duration to a histogram of `METRICS`."""
    instrument = _found(name, "histogram", labels)
    if instrument is not None:
        instrument.record(seconds, labels)


def gauge(name: str, value: float, **labels: Label) -> None:
    """Set a gauge of `METRICS`."""
    instrument = _found(name, "gauge", labels)
    if instrument is not None:
        instrument.set(value, labels)


def exposition() -> bytes:
    """All metrics in Prometheus text format."""
    return generate_latest(_Process.registry)


def _found(name: str, kind: str, labels: dict[str, Label]) -> Any:
    metric = _BY_NAME[name]
    assert (metric.type, set(metric.labels)) == (kind, set(labels)), name  # noqa: S101  ours to keep
    return _Process.instruments.get(name)


def _reached(counts: Counts, _: CallbackOptions) -> list[Observation]:
    # A copy in one step: the reader may run in a thread of its own.
    return [Observation(value, dict(labels)) for labels, value in list(counts.items())]


def _instrument(provider: MeterProvider, metric: Metric) -> Any:
    meter, name = provider.get_meter(NAMESPACE), f"gca_{metric.name}"
    if metric.type == "counter":
        return meter.create_observable_counter(
            name, [partial(_reached, _Process.counts[metric.name])], description=metric.meaning
        )
    if metric.type == "gauge":
        return meter.create_gauge(name, description=metric.meaning)
    return meter.create_histogram(
        name,
        unit="s",
        description=metric.meaning,
        explicit_bucket_boundaries_advisory=metric.buckets,
    )
